"""A batch on its way to the engine process, and what was found on its way back.

Rows of the bundle cross as numbers; of a live item in a history crosses what a model reads of it.
What lives beside the catalogue is scored by the worker, which knows it: nothing of it crosses.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, chain, pairwise
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.contract.memory import Recalled
from models.contract.types import FloatArray, ItemCodes
from service.engine.engine import Answered
from service.engine.feeds import History
from service.engine.sets import Receiver, Sender, Told
from service.engine.wire import FLOAT32, INT64, UINT16, Frame, FrameError
from service.retrieval.retriever import Found
from service.retrieval.rows import Rows, RowSet
from service.retrieval.selection import Allowed, Selection

_Known = Callable[[int], ItemCodes]
_RowOf = Callable[[NDArray[np.uint16], FloatArray], int]
_NOTHING = Recalled.summed([], [])


class Question(NamedTuple):
    """A batch, as an Engine is asked. gone: rows of the bundle that nobody may find.

    vectors: whether user vectors are wanted, too.
    """

    histories: Sequence[History]
    k: Sequence[int]
    selections: Sequence[Selection]
    gone: RowSet | None
    vectors: bool


class _Arrays(NamedTuple):
    """Of all histories together, J items, L of them live; H hidden rows, R that are recalled."""

    rows_J: Rows
    hidden_H: Rows
    recalled_R: Rows
    added_R: FloatArray
    codes_LS: NDArray[np.uint16]
    read_LD: FloatArray


_TYPES = INT64, INT64, INT64, FLOAT32, UINT16, FLOAT32  # of _Arrays


def frame_of(question: Question, items: int, sender: Sender) -> Frame:
    """What is sent, where the bundle has so many items. What is told of each history, such as its
    length, is in the header.
    """
    _, k, selections, gone, vectors = question
    sets: list[Told] = []
    of_sets: list[NDArray[Any]] = []

    def number(rows: RowSet, *, keep: bool = False) -> int:
        told, array = sender.tell(rows, keep=keep)
        sets.append(told)
        if array is not None:
            of_sets.append(array)
        return len(sets) - 1

    told_gone = -1 if gone is None else number(gone, keep=True)
    allowed = {id(s.allowed.base): s.allowed.base for s in selections if s.allowed}
    numbers = {each: number(rows) for each, rows in allowed.items()}
    hidden = _hidden(selections, items)
    recalled = [_recalled(selection.recalled, items) for selection in selections]
    rows = [*map(itemgetter(0), chain(*question.histories))]
    arrays = _Arrays(
        np.array(rows),
        np.concatenate(hidden),
        *(np.concatenate(each) for each in zip(*recalled, strict=True)),
        *_live(question.histories, live=max(rows) >= items, items=items),
    )
    header = {
        "lengths": [*map(len, question.histories)],
        "k": k,
        "hidden": [*map(len, hidden)],
        "allowed": [numbers[id(s.allowed.base)] if s.allowed else -1 for s in selections],
        "recalled": [len(rows_J) for rows_J, _ in recalled],
        "gone": told_gone,
        "sets": sets,
        "vectors": vectors,
    }
    return Frame(header, [*arrays, *of_sets])


def question_of(frame: Frame, receiver: Receiver, known: _Known, row_of: _RowOf) -> Question:
    """What was sent. known: what there is to an item of the bundle; row_of: a live one's row.

    Raises FrameError for what is no question.
    """
    told, most = frame.header, len(_TYPES)
    try:
        if tuple(array.dtype for array in frame.arrays[:most]) != _TYPES:
            raise FrameError("arrays of a question have other types")
        arrays, rest = _Arrays(*frame.arrays[:most]), iter(frame.arrays[most:])
        sets = [receiver.take(Told(*each), rest) for each in told["sets"]]
        items = _items(arrays, receiver.size, known, row_of)
        return Question(
            [*_parts(items, told["lengths"])],
            told["k"],
            [*_selections(arrays, told, sets, receiver.size)],
            None if told["gone"] < 0 else sets[told["gone"]],
            told["vectors"],
        )
    except (ValueError, TypeError, LookupError, StopIteration) as error:
        raise FrameError(f"not a question: {error}") from error


def frame_back(answered: Answered, *, vectors: bool) -> Frame:
    """What is sent back."""
    arrays = [*answered.found, *([answered.vectors_BD] if vectors else ())]
    return Frame({"encode": answered.encode, "search": answered.search}, arrays)


def answered_of(frame: Frame) -> Answered:
    """What was sent back; no vectors where none were wanted. Raises what the engine raised:
    ArithmeticError, else RuntimeError.
    """
    if (failed := frame.header.get("failed")) is not None:
        kind, reason = failed
        raise ArithmeticError(reason) if kind == "ArithmeticError" else RuntimeError(reason)
    found = Found(*frame.arrays[:2])
    vectors_BD = frame.arrays[2] if len(frame.arrays) > 2 else np.empty((0, 0), np.float32)
    return Answered(found, frame.header["encode"], frame.header["search"], vectors_BD)


def failed(error: Exception) -> Frame:
    """What is sent back in place of an answer."""
    return Frame({"failed": [type(error).__name__, str(error)[:1000]]})


def _hidden(selections: Sequence[Selection], items: int) -> Sequence[Rows]:
    """Rows of the bundle."""
    hidden = [selection.hidden for selection in selections]
    if np.concatenate(hidden).max(initial=0) < items:
        return hidden
    return [rows[rows < items] for rows in hidden]


def _recalled(recalled: Recalled | None, items: int) -> Recalled:
    """Of rows of the bundle."""
    if recalled is None:
        return _NOTHING
    count = np.searchsorted(recalled.rows_J, items)
    return Recalled(recalled.rows_J[:count], recalled.scores_J[:count])


def _live(histories: Sequence[History], *, live: bool, items: int) -> Sequence[NDArray[Any]]:
    """Codes and what is read, of live items."""
    if not live:
        return np.empty((0, 0), np.uint16), np.empty((0, 0), np.float32)
    found = [item for item in chain(*histories) if item.item_index >= items]
    read = [item.read_D for item in found if item.read_D is not None]
    return np.stack([item.codes for item in found]), np.stack(read)


def _items(arrays: _Arrays, size: int, known: _Known, row_of: _RowOf) -> Sequence[ItemCodes]:
    rows = arrays.rows_J.tolist()
    if min(rows) < 0:
        raise FrameError("a history has rows that there are not")
    if max(rows) < size:
        return [*map(known, rows)]
    live = zip(arrays.codes_LS, arrays.read_LD, strict=True)
    return [known(row) if row < size else _of(*next(live), row_of) for row in rows]


def _of(codes_S: NDArray[np.uint16], read_D: FloatArray, row_of: _RowOf) -> ItemCodes:
    return ItemCodes(row_of(codes_S, read_D), codes_S, read_D)


def _selections(
    arrays: _Arrays, told: Any, sets: Sequence[RowSet], size: int
) -> Iterator[Selection]:
    if len(arrays.hidden_H) and arrays.hidden_H.view(np.uint64).max() >= size:
        raise FrameError("rows are hidden that the bundle has not")
    alone = [None if number < 0 else Allowed(sets[number]) for number in told["allowed"]]
    hidden = _parts(arrays.hidden_H, told["hidden"])
    recalled = _parts(arrays.recalled_R, told["recalled"])
    added = _parts(arrays.added_R, told["recalled"])
    counts = told["k"], told["lengths"]  # as many
    each = zip(hidden, alone, recalled, added, *counts, strict=True)
    for hidden_J, allowed, rows_J, added_J, *_ in each:
        yield Selection(hidden_J, allowed, Recalled(rows_J, added_J) if len(rows_J) else None)


def _parts(whole: Any, counts: Sequence[int]) -> Iterator[Any]:
    """One after another."""
    ends = [0, *accumulate(counts)]
    if ends[-1] != len(whole) or min(counts) < 0:
        raise FrameError("parts of a question do not fit together")
    return (whole[begin:end] for begin, end in pairwise(ends))
