"""Showing: what a generation shows, as metrics tell of it.

A request only puts its answers aside; they are counted together.
"""

import asyncio
import time
from array import array
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from models.contract.bundle import Bundle
from models.contract.catalogue import Catalogue
from service.generation.recommender import Recommendation
from service.metrics import DECILES, PARTS, Metrics
from service.retrieval.rows import Rows

_EVERY = 2.0  # seconds
_HOUR = 3600.0
_HEAD, _TAIL, _NEW = range(len(PARTS))


class Showing:
    """Of one generation: how popular what it shows is, how much of the catalogue, and how its best
    scores lie among those that the bundle was exported with.
    """

    def __init__(
        self, bundle: Bundle, metrics: Metrics, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.metrics = metrics
        self.digest = bundle.digest
        self.deciles = np.array(bundle.manifest.score_deciles)
        self.part_N = parts_of(bundle.catalogue)
        self.hour_N = np.zeros(len(bundle.catalogue), np.uint16)  # shown last; 0: never
        self.clock = clock
        self._started = clock()
        self._rows = array("q")
        self._best = array("d")
        self._due: asyncio.TimerHandle | None = None

    def note(self, found: Recommendation, *, plain: bool) -> None:
        """An answer goes out. ``plain``: its best score may be compared with the bundle's."""
        self._rows.extend([item.item_index for item in found.items])
        if plain and found.items and found.fallback is None:
            self._best.append(found.items[0].score)
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(_EVERY, self.count)

    def count(self) -> None:
        """Count what was put aside."""
        rows_J, best_B = np.array(self._rows, np.int64), np.array(self._best)
        self._rows, self._best, self._due = array("q"), array("d"), None
        base_J = rows_J[rows_J < len(self.part_N)]
        counts = np.bincount(self.part_N[base_J], minlength=len(PARTS))
        counts[_NEW] += len(rows_J) - len(base_J)  # live items
        for part, count in zip(PARTS, counts.tolist(), strict=True):
            self.metrics.shown.labels(part).inc(count)
        self.metrics.coverage.labels(self.digest).set(self._covered(base_J))
        if len(self.deciles):
            places = np.bincount(np.searchsorted(self.deciles, best_B), minlength=DECILES)
            for decile, count in enumerate(places.tolist()):
                self.metrics.score_decile.labels(str(decile)).inc(count)

    def close(self) -> None:
        """It answers no more."""
        if self._due is not None:
            self._due.cancel()
            self.count()
        self.metrics.coverage.labels(self.digest).set(0)

    def _covered(self, rows_J: Rows) -> float:
        """Share of the catalogue that was shown in this hour or the one before."""
        hour = 2 + int((self.clock() - self._started) / _HOUR)
        self.hour_N[rows_J] = hour
        return np.count_nonzero(self.hour_N >= hour - 1) / len(self.hour_N)


def parts_of(catalogue: Catalogue) -> NDArray[np.uint8]:
    """(N,): whether an item is of the most used that have half of all uses, is used, or new."""
    order_N = catalogue.by_popularity_N
    uses_N = catalogue.popularity_N[order_N]
    part_N = np.full(len(order_N), _TAIL, np.uint8)
    part_N[order_N[np.cumsum(uses_N) - uses_N < uses_N.sum() / 2]] = _HEAD
    part_N[catalogue.popularity_N == 0] = _NEW
    return part_N
