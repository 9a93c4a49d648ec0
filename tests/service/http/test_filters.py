"""10,000 random filter sets: nothing hidden is ever answered, and K items are wherever K exist."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from models.contract.bundle import Bundle
from models.contract.types import FloatArray
from service.catalogue.live_items import LiveItems
from service.catalogue.taking import NoIntake
from service.engine.engine import HostEngine
from service.engine.feeds import History
from service.generation.generation import Generation
from service.generation.load import new_generation
from service.generation.recommender import Query, Recommendation
from service.metrics import Metrics
from service.retrieval.choose import make_retriever
from service.settings import RetrieverKind, Settings
from tests.tiny_bundle import ITEMS

QUERIES = 5_000  # for each retriever


class RandomScorer:
    """Users who like anything: every item comes first for somebody."""

    provider = "random"

    def __init__(self, width: int) -> None:
        self.width = width
        self.random = np.random.default_rng(0)

    def encode(self, histories: Sequence[History]) -> FloatArray:
        return self.random.standard_normal((len(histories), self.width), np.float32)


def generation(bundle: Bundle, kind: RetrieverKind) -> Generation:
    settings, metrics = Settings(bundle=bundle.directory), Metrics()
    scorer = RandomScorer(bundle.item_vectors_ND.shape[1])
    engine = HostEngine(scorer, make_retriever(bundle, kind, 1), metrics)
    return new_generation(LiveItems(bundle), engine, NoIntake(), settings, metrics)


def queries() -> list[Query]:
    random = np.random.default_rng(1)

    def some(most: int) -> list[str]:
        return [f"item-{n}" for n in random.integers(0, ITEMS + 5, random.integers(0, most))]

    return [
        Query(some(30), int(random.integers(1, 80)), some(150), bool(random.integers(2)))
        for _ in range(QUERIES)
    ]


@pytest.mark.parametrize("kind", ["exact", "compressed"])
def test_nothing_hidden_is_answered_and_k_items_are_where_k_exist(
    tiny: Bundle, indexed: Bundle, kind: RetrieverKind
) -> None:
    asked = queries()

    async def answers() -> list[Recommendation]:
        served = generation(indexed if kind == "compressed" else tiny, kind)
        await served.start()
        found = []
        for first in range(0, QUERIES, 32):
            batch = asked[first : first + 32]
            found += await asyncio.gather(*(served.recommender.recommend(query) for query in batch))
        await served.close()
        return found

    for query, found in zip(asked, asyncio.run(answers()), strict=True):
        items = [f"item-{item.item_index}" for item in found.items]
        hidden = {*query.exclude, *(() if query.include_history else query.history)}
        left = ITEMS - sum(f"item-{n}" in hidden for n in range(ITEMS))
        assert not hidden.intersection(items)
        assert len(set(items)) == len(items) == min(query.k, left)
