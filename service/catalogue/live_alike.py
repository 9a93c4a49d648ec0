"""LiveAlike: what the memory knows of live items before anything has followed them.

A bundle's memory lists items that are described alike, either after the other. Of a live item this
has both: whom it brings to mind, and who brings it to mind.
"""

from array import array
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from models.contract.likeness import NEAREST, Alike
from models.contract.memory import STEPS, Reason, Recalled
from models.contract.types import FloatArray
from service.catalogue.growing import Growing
from service.retrieval.rows import Rows


class _List(NamedTuple):
    """What one item brings to mind: rows, and what each is worth."""

    rows_J: Rows
    scores_J: FloatArray


class LiveAlike:
    """Beside a bundle of ``size`` rows, whose memory decays so; live item m has row size + m.

    Lists of rows of the bundle are arrays of numbers, which a collection of circles passes by.
    """

    def __init__(self, size: int, decay: float) -> None:
        self.size = size
        self.decay = decay
        self._rows = Growing(NEAREST, np.int32)  # -1: no more
        self._scores = Growing(NEAREST, np.float32)
        self._listed: dict[int, tuple[array[int], array[float]]] = {}

    def add(self, alike: Alike) -> None:
        """Of the next live item."""
        row, filled = self.size + len(self._rows.rows), len(alike.rows_J)
        rows_J, scores_J = np.full(NEAREST, -1, np.int32), np.zeros(NEAREST, np.float32)
        rows_J[:filled], scores_J[:filled] = alike.rows_J, alike.after_J
        self._rows.add(rows_J)
        self._scores.add(scores_J)
        for listing, score in zip(alike.rows_J.tolist(), alike.before_J.tolist(), strict=True):
            if (lists := self._listed.get(listing)) is None:
                lists = self._listed[listing] = array("i"), array("f")
            lists[0].append(row)
            lists[1].append(score)

    def recall(self, history: Sequence[int]) -> Recalled | None:
        """After a history of rows, oldest first; None where it brings nothing of this to mind."""
        lists = [found for _, found in self._lists(history)]
        if not lists:
            return None
        return Recalled.summed([each.rows_J for each in lists], [each.scores_J for each in lists])

    def reasons(self, history: Sequence[int], rows: Sequence[int]) -> list[Reason | None]:
        """Why each row comes to mind; None where it does not."""
        best: dict[int, tuple[float, Reason]] = {}
        for row, found in self._lists(history):
            for listed, score in zip(found.rows_J.tolist(), found.scores_J.tolist(), strict=True):
                if score > best.get(listed, (0.0, None))[0]:
                    best[listed] = score, Reason(row, alike=True)
        return [best[row][1] if row in best else None for row in rows]

    def _lists(self, history: Sequence[int]) -> Iterator[tuple[int, _List]]:
        """Of the latest items of a history, the latest first: weaker the longer ago."""
        for back, row in enumerate(reversed(history[-STEPS:])):
            if (found := self._list(row)) is not None:
                yield row, _List(found.rows_J, np.float32(self.decay**back) * found.scores_J)

    def _list(self, row: int) -> _List | None:
        if row < self.size:
            listed = self._listed.get(row)
            return listed and _List(np.array(listed[0]), np.array(listed[1], np.float32))
        rows_J, scores_J = (table.rows[row - self.size] for table in (self._rows, self._scores))
        filled = int((rows_J >= 0).sum())
        return _List(rows_J[:filled], scores_J[:filled]) if filled else None
