"""95% intervals by a bootstrap over users, as cheap for a million of them as for a thousand.

What a user adds to a mean is one of few values: of NDCG@10 there are eleven. To draw users anew is
to draw how many of them have each. Where a user has several events, these stay together: they are
alike.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.evaluate.ranking import Ranking, gains_of

RESAMPLES = 1000
LEVEL = 0.95


class Interval(NamedTuple):
    """Where the figure of other users like these would lie."""

    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """A figure and its interval."""

    value: float
    low: float
    high: float


def of_ranking(
    ranking: Ranking, cutoffs: tuple[int, ...], user_E: NDArray[np.int64] | None = None
) -> dict[str, Interval]:
    """Of recall@k and ndcg@k.

    user_E: whose each event is; None: no two are of the same user.
    """
    values = {}
    for k in cutoffs:
        values[f"recall@{k}"] = (ranking.rank_E <= k).astype(np.float64)
        values[f"ndcg@{k}"] = gains_of(ranking.rank_E, k)
    if user_E is None or len(np.unique(user_E)) == len(user_E):
        return {name: interval(value_E) for name, value_E in values.items()}
    events_E = np.ones(len(user_E))
    *sums, events_R = _sums(np.stack([*values.values(), events_E], axis=1), user_E).T
    some = events_R > 0  # a draw of few users may hold none
    means = (sums_R[some] / events_R[some] for sums_R in sums)
    return {name: Interval(*_edges(mean_R)) for name, mean_R in zip(values, means, strict=True)}


def ndcg(rank_E: NDArray[np.int64]) -> Estimate:
    """NDCG@10 of these users."""
    gain_E = gains_of(rank_E)
    return Estimate(float(gain_E.mean()), *interval(gain_E))


def interval(values_E: NDArray[np.float64]) -> Interval:
    """Of the mean."""
    return Interval(*_edges(_means(values_E[:, None])[:, 0]))


def gain(
    our_rank_E: NDArray[np.int64],
    their_rank_E: NDArray[np.int64],
    user_E: NDArray[np.int64] | None = None,
) -> Estimate | None:
    """How much better the NDCG@10 of our ranks is than of theirs, of the same events: 0.1 is 10%.

    user_E: whose each is; None: no two are of the same user. None is returned where some draw finds
    nothing of theirs to be relative to.
    """
    ours_E, theirs_E = gains_of(our_rank_E), gains_of(their_rank_E)
    both_EC = np.stack([ours_E, theirs_E], axis=1)
    ours_R, theirs_R = (_means(both_EC) if user_E is None else _sums(both_EC, user_E)).T
    if not theirs_R.all():
        return None
    return Estimate(float(ours_E.mean() / theirs_E.mean() - 1), *_edges(ours_R / theirs_R - 1))


def _means(values_EC: NDArray[np.float64]) -> NDArray[np.float64]:
    """(R, C): of users drawn anew, always the same for the same values."""
    users = len(values_EC)
    kinds_VC, count_V = np.unique(values_EC, axis=0, return_counts=True)
    drawn_RV = np.random.default_rng(0).multinomial(users, count_V / users, RESAMPLES)
    means_RC: NDArray[np.float64] = drawn_RV @ kinds_VC / users
    return means_RC


def _sums(values_EC: NDArray[np.float64], user_E: NDArray[np.int64]) -> NDArray[np.float64]:
    """(R, C): of all events of users drawn anew."""
    users = int(user_E.max()) + 1
    sums_UC = np.stack([np.bincount(user_E, column, users) for column in values_EC.T], axis=1)
    return resampled(sums_UC[np.bincount(user_E, minlength=users) > 0].astype(np.float64))


def resampled(sums_UC: NDArray[np.float64]) -> NDArray[np.float64]:
    """(R, C): sums over users drawn anew: each comes as often as chance has it (Poisson)."""
    random = np.random.default_rng(0)
    drawn = (random.poisson(1.0, len(sums_UC)) @ sums_UC for _ in range(RESAMPLES))
    return np.stack([*drawn])


def _edges(values_R: NDArray[np.floating[Any]]) -> tuple[float, float]:
    low, high = np.quantile(values_R, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
