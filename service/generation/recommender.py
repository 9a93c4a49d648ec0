"""The use case: a user history -> the next-item top-K."""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np

from models.contract.bundle import Bundle
from models.contract.types import FloatArray, ItemCodes
from service.catalogue.code_cache import CodeCache
from service.engine.batcher import Batcher, Candidates
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


@dataclass(frozen=True)
class Recommender:
    """Answers with one model: bundle, codes, index and id map belong together and never change."""

    bundle: Bundle
    cache: CodeCache
    batcher: Batcher
    metrics: Metrics

    async def recommend(self, query: Query) -> Recommendation:
        """The top-K; popular items where nothing in the history is known."""
        found = await self.cache.get(query.history)
        unknown = [i for i, codes in zip(query.history, found, strict=True) if codes is None]
        known = [codes for codes in found if codes is not None]
        latest = known[-self.bundle.manifest.architecture.max_history :]
        rows = self.bundle.catalogue.rows
        hidden = {row for item in query.exclude if (row := rows.get(item)) is not None}
        if not query.include_history:
            hidden |= {codes.item_index for codes in known}
        # As many more as may be taken out again, so that K remain.
        candidates = await self._candidates(latest, query.k + len(hidden))
        items = list(_take(candidates, hidden, query.k))
        if query.explain and latest:
            items = self._explain(items, latest)
        self._count(len(unknown), popular=not latest)
        return Recommendation(items, list(dict.fromkeys(unknown)), popular=not latest)

    async def _candidates(self, latest: Sequence[ItemCodes], k: int) -> Candidates:
        if latest:
            return await self.batcher.candidates(latest, k)
        catalogue = self.bundle.catalogue
        items_K = catalogue.by_popularity_N[:k].astype(np.int64)
        return Candidates(catalogue.popularity_N[items_K].astype(np.float32), items_K)

    def _count(self, unknown: int, *, popular: bool) -> None:
        if unknown:
            self.metrics.unknown_items.inc(unknown)
        if popular:
            self.metrics.fallbacks.labels("popular").inc()

    def _explain(self, items: list[Recommended], latest: Sequence[ItemCodes]) -> list[Recommended]:
        """Name, for each item, the item of the history whose vector points most nearly its way."""
        rows = [codes.item_index for codes in latest]
        rows = [row for row in dict.fromkeys(rows) if row < len(self.bundle.catalogue)]
        if not rows or not items:
            return items
        history_HD = _unit(self.bundle.item_vectors_ND[rows])
        items_KD = self.bundle.item_vectors_ND[[item.item_index for item in items]]
        nearest_K = (items_KD @ history_HD.T).argmax(axis=1)
        return [
            item._replace(because=self.bundle.catalogue.id_of(rows[near]))
            for item, near in zip(items, nearest_K, strict=True)
        ]


def _take(candidates: Candidates, hidden: Set[int], k: int) -> Iterator[Recommended]:
    pairs = zip(candidates.scores_K.tolist(), candidates.items_K.tolist(), strict=True)
    shown = (Recommended(item, score) for score, item in pairs if item not in hidden)
    return islice(shown, k)


def _unit(vectors_HD: FloatArray) -> FloatArray:
    unit_HD: FloatArray = vectors_HD / (np.linalg.norm(vectors_HD, axis=1, keepdims=True) + 1e-12)
    return unit_HD
