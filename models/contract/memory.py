"""Memory: what was counted of every item's followers, as short lists that a bundle holds.

Its scores are added to those of the model, which does not know them: of a history's latest items,
each has a list of items with what they are worth after it (docs/method.md, 4).
"""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from models.contract.ragged import are_offsets, are_rows
from models.contract.types import FloatArray

STEPS = 10  # latest items of a history, whose lists are looked up
REACH = 10  # steps, beyond which what follows an item is not counted
FALL = 0.8  # what a step of distance leaves of a count
_NUMBERS = 2**31  # that an int32 tells apart
_LOW = 0 if sys.byteorder == "little" else 1  # the lower half of a number of 64 bits


class Recalled(NamedTuple):
    """What a history brings to mind: rows, ascending, and what is added to their scores."""

    rows_J: NDArray[np.int64]
    scores_J: FloatArray

    @classmethod
    def summed(cls, rows: Sequence[NDArray[Any]], scores: Sequence[FloatArray]) -> Self:
        """Of several lists, the sum of what each tells of a row."""
        if not rows:
            return cls(np.zeros(0, np.int64), np.zeros(0, np.float32))
        # A row and, in the lower half, the bits of its score are sorted as one number: to find an
        # order, and then to follow it, takes twice as long.
        pairs_L2 = np.empty((sum(map(len, rows)), 2), np.int32)
        np.concatenate(scores, out=pairs_L2[:, _LOW].view(np.float32))
        np.concatenate(rows, out=pairs_L2[:, 1 - _LOW], casting="same_kind")
        pairs_L2.view(np.int64).sort(axis=0)
        row_L, score_L = pairs_L2[:, 1 - _LOW], pairs_L2[:, _LOW].view(np.float32)
        begins_L = np.ones(len(row_L), np.bool_)
        np.not_equal(row_L[1:], row_L[:-1], out=begins_L[1:])
        first_J = np.flatnonzero(begins_L)
        return cls(row_L[first_J].astype(np.int64), np.add.reduceat(score_L, first_J))

    @classmethod
    def together(cls, parts: Iterable[Self | None]) -> Self | None:
        """The sum of those that are there; None where none is."""
        there = [part for part in parts if part is not None]
        if len(there) < 2:
            return there[0] if there else None
        return cls.summed([part.rows_J for part in there], [part.scores_J for part in there])


class Reason(NamedTuple):
    """Which item of a history lists another for most, and what for."""

    row: int
    alike: bool  # both are described alike; else it was often taken after it


class _List(NamedTuple):
    """What an item of a history brings to mind."""

    row: int  # of that item
    part: slice  # of all lists
    fade: np.float32  # what is left of its scores by now: less the longer ago


@dataclass(frozen=True)
class Memory:
    """Lists of items, one after another; no score is negative.

    offsets: (N + 1,) int64, where each item's list starts. items_J: int32. scores_J: float32.
    alike_J: uint8, 1 where most of a score is that both are described alike, 0 where it is that one
    followed the other. decay: what a step back in a history leaves of its item's list. weight: what
    an item's most frequent follower is worth; 0 where that is not known.
    """

    offsets: NDArray[np.int64]
    items_J: NDArray[np.int32]
    scores_J: FloatArray
    alike_J: NDArray[np.uint8]
    decay: float
    weight: float

    def check(self) -> Self:
        """Itself. Raises ValueError for what no training writes: it looks at every entry."""
        entries = len(self.items_J)
        alike = len(self.scores_J) == len(self.alike_J) == entries
        if not (alike and are_offsets(self.offsets, entries)):
            raise ValueError("lists of the memory do not fit their offsets")
        if not are_rows(self.items_J, len(self)):
            raise ValueError("the memory names items that do not exist")
        if not (np.isfinite(self.scores_J) & (self.scores_J >= 0)).all():
            raise ValueError("the memory holds scores that are negative, or no numbers")
        return self

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def recall(self, history: Sequence[int]) -> Recalled:
        """After a history of rows, oldest first. Rows beyond the memory's have no lists."""
        return self.recall_each([history])[0]

    def recall_each(self, histories: Sequence[Sequence[int]]) -> list[Recalled]:
        """The same after each of several histories: together, for where a thread has to ask for the
        interpreter after every call on many elements, those calls are few.
        """
        size = max(1, len(self))
        together = max(1, _NUMBERS // size)  # a history and a row are one number of 31 bits
        return [
            recalled
            for first in range(0, len(histories), together)
            for recalled in self._recalled(histories[first : first + together], size)
        ]

    def _recalled(self, histories: Sequence[Sequence[int]], size: int) -> Iterator[Recalled]:
        told = [
            (number, row, back)
            for number, history in enumerate(histories)
            for back, row in enumerate(reversed(history[-STEPS:]))
            if row < len(self)
        ]
        number_E, row_E, back_E = np.array(told, np.int64).reshape(-1, 3).T
        first_E = self.offsets[row_E]
        count_E = self.offsets[row_E + 1] - first_E
        past_E = np.cumsum(count_E) - count_E
        place_L = np.repeat(first_E - past_E, count_E) + np.arange(count_E.sum())
        fades = np.array([self.decay**back for back in range(STEPS)], np.float32)
        scores_L = self.scores_J[place_L] * np.repeat(fades[back_E], count_E)
        rows_L = self.items_J[place_L] + np.repeat(number_E * size, count_E)
        rows_J, scores_J = Recalled.summed([rows_L], [scores_L])
        bounds = np.searchsorted(rows_J, size * np.arange(len(histories) + 1))
        for number, (start, stop) in enumerate(pairwise(bounds.tolist())):
            yield Recalled(rows_J[start:stop] - number * size, scores_J[start:stop])

    def reasons(self, history: Sequence[int], rows: Sequence[int]) -> list[Reason | None]:
        """Why each row comes to mind; None where it does not."""
        found: list[Reason | None] = [None] * len(rows)
        rows_R, most_R = np.array(rows), np.zeros(len(rows))
        for row, part, fade in self._lists(history):
            scores_J = self.scores_J[part] * fade
            _, at_J, at_R = np.intersect1d(self.items_J[part], rows_R, return_indices=True)
            for at, place in zip(at_J, at_R, strict=True):
                if scores_J[at] > most_R[place]:
                    most_R[place] = scores_J[at]
                    found[place] = Reason(row, bool(self.alike_J[part][at]))
        return found

    def _lists(self, history: Sequence[int]) -> Iterator[_List]:
        """Of the latest items of a history, the latest first."""
        size = len(self)
        for back, row in enumerate(reversed(history[-STEPS:])):
            if row < size:
                part = slice(self.offsets[row], self.offsets[row + 1])
                yield _List(row, part, np.float32(self.decay**back))

    def scaled(self, rows_N: NDArray[np.bool_], scale: float) -> Self:
        """The same, but for the scores of these rows, wherever they are listed."""
        factor_J = np.where(rows_N[self.items_J], np.float32(scale), np.float32(1))
        return replace(self, scores_J=self.scores_J * factor_J)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What is stored."""
        return {
            "offsets": self.offsets,
            "items": self.items_J,
            "scores": self.scores_J,
            "alike": self.alike_J,
            "decay": np.array([self.decay], np.float32),
            "weight": np.array([self.weight], np.float32),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The inverse of ``arrays``. Raises KeyError where one is missing."""
        return cls(
            offsets=arrays["offsets"],
            items_J=arrays["items"],
            scores_J=arrays["scores"],
            alike_J=arrays["alike"],
            decay=float(arrays["decay"][0]),
            weight=float(arrays["weight"][0]) if "weight" in arrays else 0.0,
        )
