"""Histories -> what the graph takes, out of the bundle's tables."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, repeat
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.contract.bundle import Bundle
from models.contract.types import CodeArray, FloatArray, ItemCodes
from service.engine.lengths import by_length

History = Sequence[ItemCodes]


class Feeds(NamedTuple):
    """A batch as the graph wants it, in the order of ``manifest.onnx_inputs``."""

    codes_BTS: CodeArray
    items_BTD: FloatArray
    length_B: NDArray[np.int64]


def encode_alike(
    bundle: Bundle, histories: Sequence[History], encode: Callable[[Feeds], FloatArray]
) -> FloatArray:
    """User vectors (B, D), of a call of ``encode`` for each group of like length."""
    groups = list(by_length([len(history) for history in histories]))
    batches = feeds(bundle, [[histories[row] for row in rows] for rows in groups])
    vectors_BD = np.concatenate([encode(batch) for batch in batches])
    place = {row: place for place, row in enumerate(chain.from_iterable(groups))}
    return vectors_BD[[place[row] for row in range(len(histories))]]


def feeds(bundle: Bundle, groups: Sequence[Sequence[History]]) -> Iterator[Feeds]:
    """Each group's histories, padded on the right to the longest of the group, no further.

    Tables are asked once, for all groups: each time the interpreter is given up, and a thread that
    is busy keeps it for longer than the look-up takes. Live items bring what is read of them.
    """
    shapes = [(len(group), max(map(len, group))) for group in groups]
    items = [
        item
        for group, (_, length) in zip(groups, shapes, strict=True)
        for history in group
        for item in _padded(history, length)
    ]
    rows, size = [item.item_index for item in items], len(bundle.catalogue)
    live = [place for place, row in enumerate(rows) if row >= size]
    for place in live:
        rows[place] = 0
    rows_P = np.array(rows)
    codes_PS, items_PD = bundle.semantic_ids.codes_NS[rows_P], bundle.vectors.read(rows_P)
    for place in live:
        codes_PS[place], items_PD[place] = items[place].codes, items[place].read_D
    first = 0
    for group, shape in zip(groups, shapes, strict=True):
        places = slice(first, first := first + shape[0] * shape[1])
        codes_BTS = codes_PS[places].reshape(*shape, -1)
        items_BTD = items_PD[places].reshape(*shape, -1)
        yield Feeds(codes_BTS, items_BTD, np.array([len(history) for history in group], np.int64))


def row_feeds(
    histories: Sequence[History], queries: int, longest: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows (B, T), padded on the right with row 0, and lengths (B,), of so many histories of at
    most so many items. What fills is a history of row 0 alone.
    """
    length_B = np.ones(queries, np.int64)
    length_B[: len(histories)] = [len(history) for history in histories]
    told_BT = np.arange(longest) < length_B[: len(histories), None]
    rows_BT = np.zeros((queries, longest), np.int64)
    rows = map(itemgetter(0), chain.from_iterable(histories))
    rows_BT[: len(histories)][told_BT] = np.fromiter(rows, np.int64, int(told_BT.sum()))
    return rows_BT, length_B


def _padded(history: History, length: int) -> Iterator[ItemCodes]:
    yield from history
    yield from repeat(history[0], length - len(history))  # the graph looks at none of them
