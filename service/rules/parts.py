"""What may be found, in parts: rows of one part bear the same marks, so that what a rule does to
them keeps their order. The best of each part, put together, hold the best of all.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from models.contract.types import FloatArray
from service.engine.batcher import Candidates
from service.retrieval.rows import Mask, Rows
from service.retrieval.selection import Allowed, Selection


class Part(NamedTuple):
    """Rows that no other part has. marks: whether they are in each of the marked sets."""

    selection: Selection
    marks: tuple[bool, ...] = ()


class Pool(NamedTuple):
    """Candidates of all parts, best first. marks_JM: of each, by set."""

    rows_J: Rows
    scores_J: FloatArray
    marks_JM: Mask


def parted(selection: Selection, marked: Sequence[Allowed]) -> list[Part]:
    """The selection, by which of the marked sets its rows are in; parts without rows are left out.

    It says what is allowed, be it everything.
    """
    found = [Part(selection)]
    for marking in marked:
        found = [half for part in found for half in _halves(part, marking)]
    return found


def _halves(part: Part, marking: Allowed) -> Iterator[Part]:
    allowed = part.selection.allowed
    assert allowed is not None
    for inside, half in (True, allowed.both(marking)), (False, allowed.without(marking)):
        if half.any():
            yield Part(part.selection._replace(allowed=half), (*part.marks, inside))


def pooled(parts: Sequence[Part], found: Sequence[Candidates], marks: int) -> Pool:
    """What was found of each part, together. marks: how many sets were marked."""
    of_each = [
        np.tile(np.array(part.marks, np.bool_), (len(best.items_K), 1))
        for part, best in zip(parts, found, strict=True)
    ]
    rows_J = np.concatenate([np.empty(0, np.int64), *(best.items_K for best in found)])
    scores_J = np.concatenate([np.empty(0, np.float32), *(best.scores_K for best in found)])
    marks_JM = np.concatenate([np.empty((0, marks), np.bool_), *of_each])
    return ordered(Pool(rows_J, scores_J, marks_JM))


def ordered(pool: Pool) -> Pool:
    """Best first; of equals, the one that was before."""
    order_J = np.argsort(-pool.scores_J, kind="stable")
    return Pool(pool.rows_J[order_J], pool.scores_J[order_J], pool.marks_JM[order_J])
