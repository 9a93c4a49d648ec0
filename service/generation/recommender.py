"""The use case: a user history -> the next-item top-K."""

import asyncio
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from models.contract.bundle import Bundle
from models.contract.types import FloatArray, ItemCodes
from service.catalogue.codes import Codes
from service.catalogue.live_items import LiveItems
from service.engine.batcher import Batcher, Candidates
from service.metrics import Metrics
from service.retrieval.retriever import Rows

_IDS_AT_ONCE = 500  # a look-up takes up to half a microsecond


class Query(NamedTuple):
    """What is asked for. Ids are external; the history is oldest first."""

    history: Sequence[str]
    k: int = 10
    exclude: Sequence[str] = ()
    include_history: bool | None = None  # None: as the model was made to
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
    """Answers with one model: the bundle, which never changes, and the live items beside it."""

    bundle: Bundle
    codes: Codes
    live: LiveItems
    batcher: Batcher
    metrics: Metrics

    async def recommend(
        self,
        query: Query,
        gone: Callable[[], bool] = lambda: False,
        deadline: float = math.inf,
    ) -> Recommendation:
        """The top-K; popular items where nothing in the history is known.

        ``gone`` and ``deadline`` are of whoever waits for it: see ``Batcher.candidates``.
        """
        found = self.codes.get(query.history)
        unknown = [i for i, codes in zip(query.history, found, strict=True) if codes is None]
        known = [codes for codes in found if codes is not None]
        latest = known[-self.bundle.manifest.architecture.max_history :]
        seen = () if self._with_history(query) else (codes.item_index for codes in known)
        hidden = await self._hidden(query.exclude, seen)
        if latest:
            best = await self.batcher.candidates(latest, query.k, hidden, gone, deadline)
        else:
            best = self._most_used(query.k, hidden)
        pairs = zip(best.items_K.tolist(), best.scores_K.tolist(), strict=True)
        items = [Recommended(item, score) for item, score in pairs]
        if query.explain and latest:
            items = self._explain(items, latest)
        self._count(len(unknown), popular=not latest)
        return Recommendation(items, list(dict.fromkeys(unknown)), popular=not latest)

    def _with_history(self, query: Query) -> bool:
        asked = query.include_history
        return self.bundle.manifest.recommend == "all" if asked is None else asked

    async def _hidden(self, exclude: Sequence[str], seen: Iterable[int]) -> Rows:
        """Rows of the catalogue that must not be found, each once.

        Many ids are looked up a part at a time, and others have their turn between: one call
        of a library for all of them would not give up the interpreter.
        """
        rows = set(seen)
        for first in range(0, len(exclude), _IDS_AT_ONCE):
            if first:
                await asyncio.sleep(0)
            found = map(self.live.row, exclude[first : first + _IDS_AT_ONCE])
            rows.update(row for row in found if row is not None)
        return np.fromiter(rows, np.int64, len(rows))

    def _most_used(self, k: int, hidden: Rows) -> Candidates:
        catalogue = self.bundle.catalogue
        first_J = catalogue.by_popularity_N[: k + len(hidden)].astype(np.int64)
        items_K = first_J[~np.isin(first_J, hidden)][:k]
        return Candidates(catalogue.popularity_N[items_K].astype(np.float32), items_K)

    def _count(self, unknown: int, *, popular: bool) -> None:
        if unknown:
            self.metrics.unknown_items.inc(unknown)
        if popular:
            self.metrics.fallbacks.labels("popular").inc()

    def _explain(self, items: list[Recommended], latest: Sequence[ItemCodes]) -> list[Recommended]:
        """Name, for each item, the item of the history whose vector points most nearly its way."""
        rows = [codes.item_index for codes in latest]
        rows = list(dict.fromkeys(rows))
        if not items:
            return items
        history_HD = _unit(self.live.vectors(rows))
        items_KD = self.live.vectors([item.item_index for item in items])
        nearest_K = (items_KD @ history_HD.T).argmax(axis=1)
        names = self.live.names(rows)
        return [
            item._replace(because=names[near][0])
            for item, near in zip(items, nearest_K.tolist(), strict=True)
        ]


def _unit(vectors_HD: FloatArray) -> FloatArray:
    unit_HD: FloatArray = vectors_HD / (np.linalg.norm(vectors_HD, axis=1, keepdims=True) + 1e-12)
    return unit_HD
