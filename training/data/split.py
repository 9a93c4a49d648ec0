"""Which interactions are kept, and which part of the split each belongs to. Arrays only."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.config import SplitConfig
from training.data.histories import Part
from training.errors import UserError

Codes = NDArray[np.uint32]
Mask = NDArray[np.bool_]


def k_core(user: Codes, item: Codes, k: int) -> Mask:
    """The largest set of interactions in which every user and every item has at least ``k``."""
    kept = np.ones(len(user), bool)
    while k > 1:
        weak_users = np.bincount(user[kept], minlength=1) < k
        weak_items = np.bincount(item[kept], minlength=1) < k
        at = np.flatnonzero(kept)
        drop = weak_users[user[at]] | weak_items[item[at]]
        if not drop.any():
            break
        kept[at[drop]] = False
    return kept


def not_adjacent(user: Codes, item: Codes) -> Mask:
    """All but repeats of the interaction just before, by the same user."""
    kept = np.ones(len(user), bool)
    kept[1:] = (user[1:] != user[:-1]) | (item[1:] != item[:-1])
    return kept


def latest(user: Codes, most: int) -> Mask:
    """A user's last ``most`` interactions."""
    return from_end(user) < most


def from_end(user: Codes) -> NDArray[np.int64]:
    """How many interactions of the same user follow; ``user`` must be sorted."""
    ends = np.searchsorted(user, user, side="right")
    return ends - np.arange(len(user)) - 1


class Split(NamedTuple):
    """The part of each interaction; the cuts are times in seconds."""

    part: NDArray[np.uint8]
    validation_from: int | None = None
    test_from: int | None = None


def leave_one_out(user: Codes) -> Split:
    """The last interaction is for test, the one before for validation; users below 3 train."""
    behind = from_end(user)
    long_enough = (np.bincount(user, minlength=1) >= 3)[user]
    part = np.full(len(user), Part.TRAIN, np.uint8)
    part[long_enough & (behind == 0)] = Part.TEST
    part[long_enough & (behind == 1)] = Part.VALIDATION
    return Split(part)


def temporal(seconds: NDArray[np.int64], config: SplitConfig) -> Split:
    """Two cuts through time, at row quantiles, or at the moment that is told for the second; what
    falls on a cut belongs to the later part.
    """
    ordered = np.sort(seconds)
    test_share = config.test_share
    if config.test_from is not None:
        test_share = float((seconds >= config.test_from).mean())
    test_from = _cut(ordered, test_share)
    validation_from = _cut(ordered, test_share + config.validation_share)
    part = np.full(len(seconds), Part.TRAIN, np.uint8)
    part[seconds >= validation_from] = Part.VALIDATION
    if test_share:
        part[seconds >= test_from] = Part.TEST
    if not (part == Part.TRAIN).any():
        raise UserError(
            "split.kind = 'temporal' leaves nothing to train on: too many interactions have the "
            "same, earliest time; use leave_one_out"
        )
    return Split(part, validation_from, test_from if test_share else None)


def _cut(ordered: NDArray[np.int64], share: float) -> int:
    at = round(len(ordered) * (1 - share))
    return int(ordered[min(at, len(ordered) - 1)])
