"""Popular items: what answers where nothing in a history is known."""

from collections.abc import Sequence

import numpy as np

from models.contract.types import FloatArray
from service.catalogue.live_items import LiveItems
from service.engine.batcher import Candidates
from service.events.trend import NOTHING, Trending
from service.generation.placed import Placed, Places
from service.retrieval.live import Live
from service.retrieval.rows import Mask, Rows
from service.retrieval.selection import Selection

_FEW = 20_000  # rows that are put in order for one request
_PLACED = 100  # lists of what is used most, that are looked up once
_WHOLE = 50.0  # uses by those who are alike, from which on they count more than everybody's


class Popular:
    """What the bundle counted, faded until now, and what was counted since."""

    def __init__(self, items: LiveItems) -> None:
        self.items = items
        self.catalogue = items.bundle.catalogue
        self._counted = float(self.catalogue.recent_N.sum())
        self._places = Places(items, _PLACED)

    def best(
        self,
        k: int,
        selection: Selection,
        trending: Trending = NOTHING,
        alike: Sequence[Trending] = (),
    ) -> Candidates:
        """The most used ``k`` in ``selection``; where those are too few, live items that nobody
        has used yet, the latest first. alike: what those used who have something in common with
        whoever asks, each by another thing.
        """
        live = self.items.live
        rows_K = self._put_anew(_of_bundle(self.items, k, selection, live), selection)[:k]
        scores_K = self._recent(rows_K)
        if trending.item_ids or alike:
            rows_K, scores_K = self._heard(rows_K, selection, trending, alike)
        rows_K, scores_K = rows_K[:k], scores_K[:k]
        if len(rows_K) < k:
            late_J = _of_live(selection, live)
            late_J = late_J[~np.isin(late_J, rows_K)]
            late_J = late_J[np.argsort(-self.items.first(late_J))][: k - len(rows_K)]
            rows_K = np.concatenate([rows_K, late_J])
            scores_K = np.concatenate([scores_K, np.zeros(len(late_J), np.float32)])
        return Candidates(scores_K, rows_K)

    def _put_anew(self, rows_K: Rows, selection: Selection) -> Rows:
        """Beside these of the bundle, best first, what was used before it was put anew: it has
        another row since, and is used no less for it.
        """
        anew_J = self.items.anew
        if not len(anew_J):
            return rows_K
        anew_J = self._kept(anew_J, selection)
        rows_J = np.concatenate([rows_K, anew_J[self._recent(anew_J) > 0]])
        return rows_J[np.lexsort((self.items.before(rows_J), -self._recent(rows_J)))]

    def _recent(self, rows_J: Rows) -> FloatArray:
        """(J,): what the bundle counted of these items."""
        bundle_J = self.items.before(rows_J)
        return np.where(bundle_J < 0, np.float32(0), self.catalogue.recent_N[bundle_J])

    def _heard(
        self, rows_K: Rows, selection: Selection, trending: Trending, alike: Sequence[Trending]
    ) -> tuple[Rows, FloatArray]:
        """Also what was told of since: nothing else can be better than the best of the bundle."""
        trend, *others = (
            self._places.of(each, each.item_ids, each.uses_J) for each in (trending, *alike)
        )
        told = np.concatenate([placed.rows_J for placed in (trend, *others)])
        rows_J = _distinct(np.concatenate([self._kept(told, selection), rows_K]))
        scores_J, faded = _uses(trend, rows_J), self._faded(trending.now)
        scores_J += np.float32(faded) * self._recent(rows_J)
        if others:
            whole = faded * self._counted + float(trend.weights_J.sum())
            scores_J = _as_alike(rows_J, scores_J, whole, others)
        order_J = np.argsort(-scores_J, kind="stable")
        return rows_J[order_J], scores_J[order_J]

    def _kept(self, rows_J: Rows, selection: Selection) -> Rows:
        live = self.items.live
        kept_J = np.isin(rows_J, _of_live(selection, live))
        of_bundle_J = rows_J < self.items.size
        kept_J[of_bundle_J] = _shown(rows_J[of_bundle_J], selection, live)
        return rows_J[kept_J]

    def _faded(self, now: float) -> float:
        """What a use counts by now that the bundle counted whole."""
        recency = self.items.bundle.manifest.recency
        if recency is None:
            return 1.0
        return float(2 ** -(max(now - recency.as_of, 0.0) / recency.half_life))


def _as_alike(
    rows_J: Rows, scores_J: FloatArray, whole: float, others: Sequence[Placed]
) -> FloatArray:
    """Uses as they would be if everybody were alike, of ``whole`` uses in all.

    Shares by those who are alike are drawn towards everybody's, the more the fewer uses there are:
    the mean of a Dirichlet posterior whose prior is worth ``_WHOLE`` uses. Of several such groups
    the mean.
    """
    share_J = scores_J / max(whole, 1e-9)
    shares_J = [
        (_uses(other, rows_J) + _WHOLE * share_J) / (float(other.weights_J.sum()) + _WHOLE)
        for other in others
    ]
    means_J: FloatArray = (whole * np.mean(shares_J, axis=0)).astype(np.float32)
    return means_J


def _uses(placed: Placed, rows_J: Rows) -> FloatArray:
    """(J,): what each of these rows weighs there."""
    uses_J = np.zeros(len(rows_J), np.float32)
    _, at, there = np.intersect1d(rows_J, placed.rows_J, assume_unique=True, return_indices=True)
    uses_J[at] = placed.weights_J[there]
    return uses_J


def _distinct(rows_J: Rows) -> Rows:
    """Each once, where it comes first."""
    first_J = np.unique(rows_J, return_index=True)[1]
    return rows_J[np.sort(first_J)]


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
    numbers_J = np.flatnonzero(~live.gone_M) + len(live.gone_N)
    numbers_J = numbers_J[~np.isin(numbers_J, selection.hidden)]
    if selection.allowed is not None:
        numbers_J = numbers_J[np.isin(numbers_J, selection.allowed.live)]
    return numbers_J
