"""The use case: a user history -> the next-item top-K."""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from models.contract.bundle import Bundle
from models.contract.live_counts import LiveTransitions
from models.contract.memory import Recalled
from models.contract.types import ItemCodes
from service.catalogue.codes import Codes
from service.catalogue.filters import Filter
from service.catalogue.live_items import LiveItems
from service.engine.batcher import Batcher, Candidates, Spent
from service.events.trend import NOTHING, Groups, Trend
from service.generation.heard import Heard
from service.generation.popular import Popular
from service.generation.reasons import explained
from service.generation.recommended import Fallback, Recommended
from service.generation.ruled import Ruled, Ruling, Search
from service.metrics import Metrics
from service.retrieval.live import Live
from service.retrieval.selection import Allowed, Selection
from service.rules.rules import Rules

_TRIES = 3  # of an answer whose items are put anew meanwhile
_IDS_AT_ONCE = 500  # a look-up takes up to half a microsecond


class Query(NamedTuple):
    """What is asked for. Ids are external; the history is oldest first.

    allow: ids that alone may be returned; None: any may. transitions: what follows what of late.
    groups: what is used by those who have something of ``context`` in common. rules: of the shop,
    None where it has none.
    """

    history: Sequence[str]
    k: int = 10
    exclude: Sequence[str] = ()
    include_history: bool | None = None  # None: as the model was made to
    explain: bool = False
    allow: Sequence[str] | None = None
    filter: Filter | None = None
    transitions: LiveTransitions | None = None
    trend: Trend | None = None
    groups: Groups | None = None
    context: Mapping[str, Any] | None = None
    rules: Rules | None = None


@dataclass(frozen=True)
class Recommendation:
    """All answers, best first."""

    items: list[Recommended]
    unknown_items: list[str]
    fallback: Fallback | None  # nothing in the history was known: these are merely popular
    skipped: list[str] = field(default_factory=list)  # rules ask for them, and they must not be
    spent: Spent = field(default_factory=Spent)


class _Past(NamedTuple):
    """A history, looked up: oldest first, and what is not known of it, each once."""

    ids: list[str]
    codes: list[ItemCodes]  # of these
    unknown: list[str]


@dataclass(frozen=True)
class Recommender:
    """Answers with one model: the bundle, which never changes, and the live items beside it."""

    bundle: Bundle
    codes: Codes
    live: LiveItems
    batcher: Batcher
    metrics: Metrics
    heard: Heard
    popular: Popular
    ruled: Ruled

    async def recommend(
        self,
        query: Query,
        gone: Callable[[], bool] = lambda: False,
        deadline: float = math.inf,
    ) -> Recommendation:
        """The top-K; popular items where nothing in the history is known.

        ``gone`` and ``deadline`` are of whoever waits for it: see ``Batcher.candidates``. Raises
        UnknownAttributeError for a filter on what no item has.

        Items are looked up before the search; where one that is named was put meanwhile, and has
        another row, or a first one, all is done once more.
        """
        for _ in range(_TRIES):
            live = self.live.live
            past = self._past(query.history)
            selection = await self._selection(query, past)
            if past.codes:
                found = await self._next(query, past, selection, gone, deadline)
            else:
                found = await self._popular(query, past, selection)
            if self.live.live is live:
                break
            hidden = await self._rows([*query.exclude, *self._hidden_history(query)])
            kept = [item for item in found.items if item.item_index not in hidden]
            if len(kept) == len(found.items) and not self._moved(query, selection, live):
                break
            found = replace(found, items=kept)
        if found.unknown_items:
            self.metrics.unknown_items.inc(len(found.unknown_items))
        return found

    async def _next(
        self,
        query: Query,
        past: _Past,
        selection: Selection,
        gone: Callable[[], bool],
        deadline: float,
    ) -> Recommendation:
        """What comes next, as the model and the memory have it."""
        latest = past.codes[-self.bundle.manifest.architecture.max_history :]
        selection = selection._replace(recalled=self._recalled(query, past))
        spent = Spent()

        async def search(k: int, among: Selection) -> Candidates:
            nonlocal spent
            found = await self.batcher.candidates(latest, k, among, gone, deadline)
            spent = spent.beside(found.spent)
            return found

        items, skipped = await self._best(query, selection, search, popular=False)
        if query.explain:
            items = explained(items, [codes.item_index for codes in latest], self.live)
            if query.transitions is not None:
                items = self.heard.explain(query.transitions, past.ids, items)
        return Recommendation(items, past.unknown, None, skipped, spent)

    async def _popular(self, query: Query, past: _Past, selection: Selection) -> Recommendation:
        alike = query.groups.top(query.context) if query.groups and query.context else []

        async def search(k: int, among: Selection) -> Candidates:
            trending = query.trend.top() if query.trend else NOTHING
            return self.popular.best(k, among, trending, alike)

        items, skipped = await self._best(query, selection, search, popular=True)
        fallback: Fallback = "popular_in_context" if alike else "popular"
        return Recommendation(items, past.unknown, fallback, skipped)

    def _past(self, history: Sequence[str]) -> _Past:
        pairs = [*zip(history, self.codes.get(history), strict=True)]
        known = [(item_id, codes) for item_id, codes in pairs if codes is not None]
        unknown = dict.fromkeys(item_id for item_id, codes in pairs if codes is None)
        return _Past([i for i, _ in known], [codes for _, codes in known], [*unknown])

    def _moved(self, query: Query, selection: Selection, before: Live) -> bool:
        """Whether a row of what is hidden, or alone allowed, is that item's no more."""
        allowed = selection.allowed if query.allow is not None else None
        alone = () if allowed is None else (allowed.base.rows, allowed.live)
        return self.live.live.gone_since(before, np.concatenate([selection.hidden, *alone]))

    async def _best(
        self, query: Query, selection: Selection, search: Search, *, popular: bool
    ) -> Ruling:
        if query.rules is not None:
            return await self.ruled.answer(query.rules, query.k, selection, search, popular=popular)
        best = await search(query.k, selection)
        pairs = zip(best.items_K.tolist(), best.scores_K.tolist(), strict=True)
        return Ruling([Recommended(item, score) for item, score in pairs], [])

    def _recalled(self, query: Query, past: _Past) -> Recalled | None:
        """What a history brings to mind beside what the bundle's memory knows."""
        alike = self.live.alike.recall([codes.item_index for codes in past.codes])
        if query.transitions is None:
            return alike
        return Recalled.together((alike, self.heard.recall(query.transitions, past.ids)))

    def _hidden_history(self, query: Query) -> Sequence[str]:
        """What of the history must not be recommended: all or nothing."""
        asked = query.include_history
        shown = self.bundle.manifest.recommend == "all" if asked is None else asked
        return () if shown else query.history

    async def _selection(self, query: Query, past: _Past) -> Selection:
        excluded = await self._rows(query.exclude)
        if self._hidden_history(query):
            excluded.update(codes.item_index for codes in past.codes)
        hidden = np.array([*excluded], np.int64)
        allowed = None if query.filter is None else await self.live.matching.allowed(query.filter)
        if query.allow is not None:
            named = Allowed.of(await self._rows(query.allow), len(self.bundle.catalogue))
            allowed = named if allowed is None else named.both(allowed)
        return Selection(hidden, allowed)

    async def _rows(self, ids: Sequence[str]) -> set[int]:
        """Rows of the catalogue that these items have; ids that nobody knows have none.

        Many are looked up a part at a time, and others have their turn between: one call of a
        library for all of them would not give up the interpreter.
        """
        rows: set[int] = set()
        for first in range(0, len(ids), _IDS_AT_ONCE):
            if first:
                await asyncio.sleep(0)
            found = map(self.live.row, ids[first : first + _IDS_AT_ONCE])
            rows.update(row for row in found if row is not None)
        return rows
