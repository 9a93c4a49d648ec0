"""Popular items: what answers where nothing in a history is known."""

import numpy as np

from models.contract.types import FloatArray
from service.catalogue.live_items import LiveItems
from service.engine.batcher import Candidates
from service.events.trend import NOTHING, Trending
from service.generation.placed import Placed, place
from service.retrieval.live import Live
from service.retrieval.rows import Mask, Rows
from service.retrieval.selection import Selection

_FEW = 20_000  # rows that are put in order for one request


class Popular:
    """What the bundle counted, faded until now, and what was counted since."""

    def __init__(self, items: LiveItems) -> None:
        self.items = items
        self.catalogue = items.bundle.catalogue
        self._placed: Placed | None = None

    def best(self, k: int, selection: Selection, trending: Trending = NOTHING) -> Candidates:
        """The most used ``k`` in ``selection``; where those are too few, live items that nobody
        has used yet, the latest first.
        """
        live = self.items.live
        rows_K = _of_bundle(self.items, k, selection, live)
        scores_K = self.catalogue.recent_N[rows_K]
        if trending.item_ids:
            rows_K, scores_K = self._with(trending, rows_K, selection)
        rows_K, scores_K = rows_K[:k], scores_K[:k]
        if len(rows_K) < k:
            late_J = _of_live(selection, live)
            late_J = late_J[~np.isin(late_J, rows_K)][: k - len(rows_K)]
            rows_K = np.concatenate([rows_K, late_J])
            scores_K = np.concatenate([scores_K, np.zeros(len(late_J), np.float32)])
        return Candidates(scores_K, rows_K)

    def _with(
        self, trending: Trending, rows_K: Rows, selection: Selection
    ) -> tuple[Rows, FloatArray]:
        """Also what is trending: nothing else can be better than the best of the bundle."""
        ids, uses_J, now = trending
        placed = self._placed = place(self._placed, trending, ids, uses_J, self.items)
        size, live = self.items.size, self.items.live
        of_bundle_J = placed.rows_J < size
        kept_J = np.isin(placed.rows_J, _of_live(selection, live))
        kept_J[of_bundle_J] = _shown(placed.rows_J[of_bundle_J], selection, live)
        hot_J, uses_J = placed.rows_J[kept_J], placed.weights_J[kept_J]
        both_J = np.concatenate([hot_J, rows_K[~np.isin(rows_K, hot_J)]])
        scores_J = np.zeros(len(both_J), np.float32)
        counted_J = both_J < size
        scores_J[counted_J] = self._faded(now) * self.catalogue.recent_N[both_J[counted_J]]
        scores_J[: len(hot_J)] += uses_J
        order_J = np.argsort(-scores_J, kind="stable")
        return both_J[order_J], scores_J[order_J]

    def _faded(self, now: float) -> np.float32:
        """What a use counts by now that the bundle counted whole."""
        recency = self.items.bundle.manifest.recency
        if recency is None:
            return np.float32(1)
        return np.float32(2 ** -(max(now - recency.as_of, 0.0) / recency.half_life))


def _of_bundle(items: LiveItems, k: int, selection: Selection, live: Live) -> Rows:
    catalogue, allowed = items.bundle.catalogue, selection.allowed
    if allowed is not None and allowed.base.count <= _FEW:
        rows_J = allowed.base.rows
        rows_J = rows_J[np.argsort(-catalogue.recent_N[rows_J], kind="stable")]
        return rows_J[_shown(rows_J, selection, live)][:k]
    looked_at = 2 * k + len(selection.hidden)
    while True:
        rows_J = catalogue.by_popularity_N[:looked_at].astype(np.int64)
        found_J = rows_J[_shown(rows_J, selection, live)][:k]
        if len(found_J) == k or looked_at >= len(catalogue):
            return found_J
        looked_at *= 4


def _shown(rows_J: Rows, selection: Selection, live: Live) -> Mask:
    shown_J: Mask = ~(live.gone_N[rows_J] | np.isin(rows_J, selection.hidden))
    if selection.allowed is not None:
        shown_J &= selection.allowed.base.holds(rows_J)
    return shown_J


def _of_live(selection: Selection, live: Live) -> Rows:
    numbers_J = np.flatnonzero(~live.gone_M)[::-1] + len(live.gone_N)
    numbers_J = numbers_J[~np.isin(numbers_J, selection.hidden)]
    if selection.allowed is not None:
        numbers_J = numbers_J[np.isin(numbers_J, selection.allowed.live)]
    return numbers_J
