import asyncio

import numpy as np

from models.contract.bundle import Bundle
from service.engine.batcher import Candidates
from service.generation.recommender import Query, Recommendation, Recommender
from service.metrics import Metrics
from service.retrieval.selection import Selection
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
