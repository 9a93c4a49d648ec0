"""The use case: a user history -> the next-item top-K."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from models.bundle import Bundle
from models.types import FloatArray, ItemCodes
from service.batcher import Batcher, Candidates
from service.code_cache import CodeCache
from service.metrics import Metrics


@dataclass(frozen=True)
class Query:
    """What is asked for. Ids are external; the history is oldest first."""

    history: Sequence[str]
    k: int = 10
    exclude: Sequence[str] = ()
    include_history: bool = False
    explain: bool = False


class Recommended(NamedTuple):
    """One answer: which item, how good, and what in the history it is nearest to."""

    item_index: int
    score: float
    because: str | None = None


@dataclass(frozen=True)
class Recommendation:
    """All answers, best first."""

    items: list[Recommended]
    unknown_items: list[str]
    popular: bool  # nothing in the history was known: these are merely popular


class Recommender:
    """One model in service: bundle, codes, index and id map belong together and never change.

    Another bundle means another Recommender; requests in flight keep the one they started with.
    """

    def __init__(
        self, bundle: Bundle, cache: CodeCache, batcher: Batcher, metrics: Metrics, provider: str
    ) -> None:
        self.bundle = bundle
        self.cache = cache
        self.batcher = batcher
        self.metrics = metrics
        self.provider = provider
        self.index = {item.item_id: n for n, item in enumerate(bundle.catalogue)}
        popularity_N = np.array([item.popularity for item in bundle.catalogue], np.float32)
        best_N = np.argsort(-popularity_N, kind="stable")
        self.popular = Candidates(popularity_N[best_N], best_N)

    async def start(self) -> None:
        """Begin background work."""
        await self.cache.start()
        await self.batcher.start()

    async def close(self) -> None:
        """End background work."""
        await self.batcher.close()
        await self.cache.close()

    async def recommend(self, query: Query) -> Recommendation:
        """The top-K; popular items where nothing in the history is known."""
        found = await self.cache.get(query.history)
        unknown = [i for i, codes in zip(query.history, found, strict=True) if codes is None]
        known = [codes for codes in found if codes is not None]
        self.metrics.unknown_items.inc(len(unknown))
        hidden = {self.index[item] for item in query.exclude if item in self.index}
        if not query.include_history:
            hidden |= {codes.item_index for codes in known}
        if known:
            latest = known[-self.bundle.manifest.architecture.max_history :]
            # As many more as may be taken out again, so that K remain.
            candidates = await self.batcher.candidates(latest, query.k + len(hidden))
        else:
            candidates = self.popular
            self.metrics.fallbacks.labels("popular").inc()
        items = list(_take(candidates, hidden, query.k))
        if query.explain and known:
            items = self._explain(items, known)
        return Recommendation(items, list(dict.fromkeys(unknown)), popular=not known)

    def _explain(self, items: list[Recommended], history: Sequence[ItemCodes]) -> list[Recommended]:
        """Name, for each item, the item of the history whose vector points most nearly its way."""
        rows = [codes.item_index for codes in history]
        rows = [row for row in dict.fromkeys(rows) if row < len(self.bundle.catalogue)]
        if not rows or not items:
            return items
        history_HD = _unit(self.bundle.item_vectors_ND[rows])
        items_KD = self.bundle.item_vectors_ND[[item.item_index for item in items]]
        nearest_K = (items_KD @ history_HD.T).argmax(axis=1)
        return [
            item._replace(because=self.bundle.catalogue[rows[near]].item_id)
            for item, near in zip(items, nearest_K, strict=True)
        ]


def _take(candidates: Candidates, hidden: set[int], k: int) -> Iterator[Recommended]:
    taken = 0
    for score, item in zip(candidates.scores_K, candidates.items_K, strict=True):
        if taken == k:
            return
        if int(item) not in hidden:
            taken += 1
            yield Recommended(int(item), float(score))


def _unit(vectors_HD: FloatArray) -> FloatArray:
    unit_HD: FloatArray = vectors_HD / (np.linalg.norm(vectors_HD, axis=1, keepdims=True) + 1e-12)
    return unit_HD
