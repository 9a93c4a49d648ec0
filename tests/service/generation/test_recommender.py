import asyncio
import dataclasses
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from benchmarks.reliability.like_intake import LikeIntake
from models.contract.bundle import Bundle
from models.contract.intake import Content
from models.contract.live_counts import LiveTransitions
from models.contract.manifest import Recency
from service.catalogue.change import Change
from service.catalogue.live_items import LiveItems
from service.engine.batcher import Candidates
from service.events.trend import Trending
from service.generation.generation import Generation
from service.generation.recommender import Query, Recommendation, Recommender
from service.http.app import create_app
from service.log.log import Entry
from service.metrics import Metrics
from service.retrieval.selection import ANYTHING, Allowed, Selection
from service.settings import Settings
from tests.service.fakes import FakeScorer, loader
from tests.tiny_bundle import ITEMS


def _recommender(tiny: Bundle) -> Recommender:
    settings = Settings(bundle=tiny.directory)
    return loader(tiny, FakeScorer())(tiny.directory, settings, Metrics()).recommender


def test_others_have_their_turn_while_many_excluded_ids_are_looked_up(tiny: Bundle) -> None:
    recommender = _recommender(tiny)
    exclude = [f"item-{n % ITEMS}" for n in range(10_000)]

    async def scenario() -> tuple[Recommendation, int]:
        asked = asyncio.create_task(recommender.recommend(Query([], exclude=exclude)))
        turns = 0
        while not asked.done():
            await asyncio.sleep(0)
            turns += 1
        return await asked, turns

    answer, turns = asyncio.run(scenario())
    assert answer.items == []
    assert turns >= 20


def test_what_is_hidden_goes_to_the_search_as_rows_each_once(tiny: Bundle) -> None:
    recommender = _recommender(tiny)
    asked: list[tuple[int, list[int]]] = []

    async def candidates(history: object, k: int, selection: Selection, *_: object) -> Candidates:
        asked.append((k, sorted(selection.hidden.tolist())))
        return Candidates(np.empty(0, np.float32), np.empty(0, np.int64))

    recommender.batcher.candidates = candidates  # type: ignore[method-assign, assignment]
    exclude = ["item-5", "nope", "item-3", "item-5"]
    query = Query(["item-3", "item-3"], k=7, exclude=exclude)
    asyncio.run(recommender.recommend(query))
    assert asked == [(7, [3, 5])]


def test_what_followed_is_looked_up_anew_with_the_catalogue_and_no_old_one_is_kept(
    tiny: Bundle,
) -> None:
    recommender, counts = _recommender(tiny), LiveTransitions(1000, 86_400.0)
    for item in range(20):
        counts.step([f"item-{item}", "item-30"], 1, 0.0)
    items, before = recommender.live, weakref.ref(recommender.live.live.gone_N)
    heard = recommender.heard
    object.__setattr__(heard, "weight", 1.0)
    for item in range(20):
        items.apply(Entry(item + 1, Change("delete", f"item-{item}", 1.0)), None)
        items.publish()
        assert heard.recall(counts, [f"item-{item}"]) is not None
    assert before() is None


def test_what_is_used_most_is_looked_up_once_while_nothing_changes(
    tiny: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By all, and by each of the groups that somebody new belongs to."""
    recommender, asked = _recommender(tiny), list[Sequence[str]]()
    items = recommender.live
    known = items.known

    def counted(item_ids: Sequence[str]) -> Any:
        asked.append(item_ids)
        return known(item_ids)

    monkeypatch.setattr(items, "known", counted)
    lists = [Trending([f"item-{n}"], np.ones(1, np.float32), 0.0) for n in range(3)]
    found = [recommender.popular.best(5, ANYTHING, lists[0], lists[1:]) for _ in range(4)]
    assert asked == [["item-0"], ["item-1"], ["item-2"]]
    assert len({tuple(best.items_K.tolist()) for best in found}) == 1
    items.apply(Entry(1, Change("delete", "item-1", 1.0)), None)
    items.publish()
    assert 1 not in recommender.popular.best(5, ANYTHING, lists[0], lists[1:]).items_K
    assert len(asked) == 6


def test_what_is_put_anew_is_as_popular_as_it_was(tiny: Bundle) -> None:
    """A title or a price that is new says nothing of how often it was used."""
    recommender = _recommender(tiny)
    items, best = recommender.live, recommender.popular.best
    for position, item_id in enumerate(("item-58", "new", "item-20"), 1):
        content = Content("Another title", {"like": "item-3"})
        change = Change("put", item_id, 4e9, content=content)
        items.apply(Entry(position, change), LikeIntake(tiny).take([content])[0])
        items.publish()
    found = best(3, ANYTHING)
    assert _told(items, found) == [("item-59", 59), ("item-58", 58), ("item-57", 57)]
    heard = Trending(["item-20", "item-58"], np.array([50, 4], np.float32), 0.0)
    assert _told(items, best(2, ANYTHING, heard)) == [("item-20", 70), ("item-58", 62)]
    alone = Allowed.of([10, *range(ITEMS, ITEMS + 3)], ITEMS)
    hidden = Selection(np.array([items.row("item-20")]), alone)
    assert _told(items, best(9, hidden)) == [("item-58", 58), ("item-10", 10), ("new", 0)]
    items.apply(Entry(4, Change("delete", "item-58", 4e9)), None)
    items.publish()
    assert _told(items, best(2, ANYTHING)) == [("item-59", 59), ("item-57", 57)]


def _told(items: LiveItems, found: Candidates) -> list[tuple[str, float]]:
    names = items.names(found.items_K.tolist())
    return [(item_id, n) for (item_id, _), n in zip(names, found.scores_K.tolist(), strict=True)]


def test_popularity_fades_as_the_bundle_has_it(tiny: Bundle, tmp_path: Path) -> None:
    """What was counted before and what is counted since are compared."""
    recency = Recency(half_life=3 * 86_400.0, as_of=0.0)
    manifest = tiny.manifest.model_copy(update={"recency": recency})
    bundle = dataclasses.replace(tiny, manifest=manifest)

    def load(directory: Path, settings: Settings, metrics: Metrics) -> Generation:
        return loader(bundle, FakeScorer())(directory, settings, metrics)

    app = create_app(Settings(bundle=tiny.directory, events=tmp_path), load)
    with TestClient(app):
        trend = app.state.service.events.feed.trend
        assert trend._fading.half_life == 3 * 86_400.0
