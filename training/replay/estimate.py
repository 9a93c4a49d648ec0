"""What another ranking would have got, of slots that chance filled: inverse propensity scoring.

A slot in which the other ranking has the item that was shown counts for all those like it in which
chance showed something else: 1 / odds times. Their mean is unbiased (Horvitz and Thompson, 1952; of
rankings, slot by slot: Li et al., 2018, "Offline Evaluation of Ranking Policies with Click Models",
whose item-position model this is), as long as a click depends on the item, its slot and the user,
and whatever the other ranking shows had a chance. Divided by the weights' own mean (Swaminathan and
Joachims, 2015) it is a little biased and varies far less: that is what is told.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.errors import UserError
from training.evaluate.intervals import LEVEL, Estimate, resampled

_SUPPORT = 0.5  # share of the slots: of less nothing can be said
# Columns of what is summed: rewards by clipped weights, these, plain rewards, whole weights, slots.
_WEIGHED, _WEIGHT, _REWARD, _UNCLIPPED, _SLOTS = range(5)


class Slots(NamedTuple):
    """(J,) each: slots that chance filled. user: whose, as numbers from 0. reward: what came of it.

    matched: whether the other ranking has the same item there.
    """

    user_J: NDArray[np.int64]
    odds_J: NDArray[np.float64]
    reward_J: NDArray[np.float64]
    matched_J: NDArray[np.bool_]


class Replayed(NamedTuple):
    """Means a slot; intervals are 95%, by a bootstrap over users.

    snips: self-normalised, of weights clipped; ips: neither. logged: what the log got. change:
    snips less logged. support: share of the other ranking's slots that had a chance, 1 but for
    chance itself where all had. effective: slots that the weights are worth. clipped: share of the
    matched.
    """

    snips: Estimate
    change: Estimate
    ips: float
    logged: float
    support: Estimate
    effective: float
    matched: int
    slots: int
    clipped: float


def estimate(slots: Slots, clip: float) -> Replayed:
    """Means of the other ranking, and of the log. clip: the most that a weight may be.

    Raises UserError where the log cannot tell.
    """
    weight_J = np.where(slots.matched_J, 1 / slots.odds_J, 0.0)
    clipped_J = np.minimum(weight_J, clip)
    matched = int(slots.matched_J.sum())
    ips = float((weight_J * slots.reward_J).mean())
    users = int(slots.user_J.max()) + 1
    ones_J = np.ones(len(weight_J))
    columns = (clipped_J * slots.reward_J, clipped_J, slots.reward_J, weight_J, ones_J)
    each = [np.bincount(slots.user_J, column, users) for column in columns]
    sums_UC = np.stack(each, axis=1).astype(np.float64)
    support = _told(sums_UC, lambda sums: sums[_UNCLIPPED] / sums[_SLOTS])
    if support.high < _SUPPORT or not matched:
        raise UserError(
            f"the log cannot tell: of what this ranking shows only {support.value:.0%} had a "
            "chance to be shown. Explore more, or all that is to be compared"
        )
    return Replayed(
        snips=_told(sums_UC, _snips),
        change=_told(sums_UC, lambda sums: _snips(sums) - sums[_REWARD] / sums[_SLOTS]),
        ips=ips,
        logged=float(slots.reward_J.mean()),
        support=support,
        effective=float(clipped_J.sum() ** 2 / (clipped_J**2).sum()),
        matched=matched,
        slots=len(weight_J),
        clipped=float((weight_J > clip).sum() / matched),
    )


def _snips(sums_C: NDArray[np.float64]) -> float:
    snips: float = sums_C[_WEIGHED] / sums_C[_WEIGHT]
    return snips


def _told(sums_UC: NDArray[np.float64], of: Callable[[NDArray[np.float64]], float]) -> Estimate:
    """Of all users, and of users drawn anew: answers to one are alike, and stay together."""
    with np.errstate(divide="ignore", invalid="ignore"):
        means_R = np.array([of(sums_C) for sums_C in resampled(sums_UC)])
    low, high = np.nanquantile(means_R, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(of(sums_UC.sum(axis=0))), float(low), float(high))
