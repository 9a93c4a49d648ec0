"""How popularity fades: what answers new users counts uses the less, the longer ago they are."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.contract.manifest import Recency
from models.contract.types import FloatArray

DAYS = (1, 3, 7, 14, 30, 90, 365)
_LAST = 0.1  # of the interactions: what was popular until then is compared with them
_CUTOFF = 10
_DAY = 86_400.0


class Uses(NamedTuple):
    """Interactions in time: items, and seconds since 1970."""

    items_J: NDArray[np.int32]
    times_J: NDArray[np.int64]


def recency(uses: Uses, size: int) -> Recency | None:
    """The half-life whose counts rank the latest interactions best (NDCG@10).

    None where none does better than counts that do not fade, or there are no times.
    """
    order_J = np.argsort(uses.times_J, kind="stable")
    items_J, times_J = uses.items_J[order_J], uses.times_J[order_J]
    cut = int(len(items_J) * (1 - _LAST))
    if not cut or times_J[0] == times_J[-1]:
        return None
    before, after_J = Uses(items_J[:cut], times_J[:cut]), items_J[cut:]
    best, worth = None, _worth(np.bincount(before.items_J, minlength=size), after_J)
    for each in DAYS:
        fading = Recency(half_life=each * _DAY, as_of=float(times_J[cut]))
        found = _worth(recent(before, size, fading), after_J)
        if found > worth:
            best, worth = fading, found
    return best and Recency(half_life=best.half_life, as_of=float(times_J[-1]))


def recent(uses: Uses, size: int, fading: Recency) -> FloatArray:
    """(N,): uses of each item, as they count at ``fading.as_of``."""
    weights_J = 2.0 ** ((uses.times_J - fading.as_of) / fading.half_life)
    return np.bincount(uses.items_J, weights_J, minlength=size).astype(np.float32)


def _worth(counts_N: NDArray[np.generic], after_J: NDArray[np.int32]) -> float:
    best_K = np.argsort(-counts_N.astype(np.float64), kind="stable")[:_CUTOFF]
    gains_K = 1 / np.log2(np.arange(len(best_K)) + 2)
    taken_N = np.bincount(after_J, minlength=len(counts_N))
    return float((gains_K * taken_N[best_K]).sum())
