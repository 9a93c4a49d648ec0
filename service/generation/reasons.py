"""Reasons: which item of a history speaks for what is recommended, and how."""

from collections.abc import Sequence

import numpy as np

from models.contract.memory import Reason
from models.contract.types import FloatArray
from service.catalogue.live_items import LiveItems
from service.generation.recommended import Recommended, Why


def explained(
    items: Sequence[Recommended], history: Sequence[int], live: LiveItems
) -> list[Recommended]:
    """Each with that row of the history which brings it to mind; where none does, with the one
    whose vector points most nearly its way.
    """
    if not items:
        return []
    wanted, rows = [item.item_index for item in items], list(dict.fromkeys(history))
    nearest_K = (live.vectors(wanted) @ _unit(live.vectors(rows)).T).argmax(axis=1)
    names = dict(zip(rows, live.names(rows), strict=True))
    reasons = zip(items, nearest_K.tolist(), _reasons(live, history, wanted), strict=True)
    return [
        item._replace(because=names[why.row if why else rows[near]][0], reason=_said(why))
        for item, near, why in reasons
    ]


def _reasons(live: LiveItems, history: Sequence[int], wanted: Sequence[int]) -> list[Reason | None]:
    """What was counted tells first, then whom live items are described like."""
    alike, memory = live.alike.reasons(history, wanted), live.bundle.memory
    if memory is None:
        return alike
    counted = memory.reasons(history, wanted)
    return [one or other for one, other in zip(counted, alike, strict=True)]


def _said(reason: Reason | None) -> Why:
    if reason is None:
        return "history"
    return "alike" if reason.alike else "after"


def _unit(vectors_HD: FloatArray) -> FloatArray:
    unit_HD: FloatArray = vectors_HD / (np.linalg.norm(vectors_HD, axis=1, keepdims=True) + 1e-12)
    return unit_HD
