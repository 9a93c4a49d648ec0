"""Metrics of every user, their means, and intervals by a paired bootstrap over users."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]  # (U,), one number a user
CUTOFFS = (5, 10, 20)
RESAMPLES = 1000
LEVEL = 0.95


class Interval(NamedTuple):
    """A mean and its 95% interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.4f} [{self.low:.4f}, {self.high:.4f}]"


UNKNOWN = Interval(float("nan"), float("nan"), float("nan"))


class Bootstrap:
    """The same resampled users for every model: differences are paired."""

    def __init__(self, users: int) -> None:
        random = np.random.default_rng(0)
        each = np.full(users, 1 / users)
        self.count_RU = random.multinomial(users, each, RESAMPLES).astype(np.float32)

    def mean(self, values_U: Values, chosen_U: NDArray[np.bool_] | None = None) -> Interval:
        """Mean over the users, or those chosen; not a number where none is."""
        chosen_U = np.ones(len(values_U), np.bool_) if chosen_U is None else chosen_U
        if not chosen_U.any():
            return UNKNOWN
        users_R = self._sums(chosen_U.astype(np.float32))
        means_R = self._sums(values_U * chosen_U) / users_R.clip(1)
        return Interval(float(values_U[chosen_U].mean()), *edges(means_R))

    def gain(self, ours_U: Values, theirs_U: Values) -> Interval:
        """Relative difference of the means, ours / theirs - 1.

        Not a number where some resample finds no hit of theirs: nothing to be relative to.
        """
        theirs_R = self._sums(theirs_U)
        if not theirs_R.all():
            return UNKNOWN
        ratios_R = self._sums(ours_U) / theirs_R - 1
        return Interval(float(ours_U.mean() / theirs_U.mean() - 1), *edges(ratios_R))

    def _sums(self, values_U: Values) -> NDArray[np.float32]:
        sums_R: NDArray[np.float32] = self.count_RU @ values_U
        return sums_R


def verdict(gain: Interval) -> str:
    """Better, same or worse, as far as the interval tells."""
    if gain.low > 0:
        return "better"
    return "worse" if gain.high < 0 else "same"


def accuracy(rank_U: NDArray[np.uint8]) -> Mapping[str, Values]:
    """recall@k and ndcg@k of every user, from the rank of its held-out item (0: not near)."""
    values: dict[str, Values] = {}
    for k in CUTOFFS:
        hit_U, gain_U = hits(rank_U, k)
        values[f"recall@{k}"] = hit_U.astype(np.float32)
        values[f"ndcg@{k}"] = gain_U.astype(np.float32)
    return values


def hits(rank_U: NDArray[np.uint8], cutoff: int) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Whether a rank (0: not near) is among the best, and its gain: means are recall and NDCG."""
    hit_U = (rank_U >= 1) & (rank_U <= cutoff)
    return hit_U, hit_U / np.log2(np.maximum(rank_U, 1) + 1.0)


def edges(values_R: NDArray[np.floating[Any]]) -> tuple[float, float]:
    """Of the interval, from the figures of all resamples."""
    low, high = np.nanquantile(values_R, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
