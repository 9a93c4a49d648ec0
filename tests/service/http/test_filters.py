"""Random requests: nothing that they leave out is answered, and K items are wherever K exist.

All that a request can say, on a bundle with live items beside it; 10,000 filters against a ranking
by hand are in benchmarks/reliability/filters.py, which is tried here, too.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from benchmarks.reliability import filters
from models.contract.bundle import Bundle
from models.contract.types import FloatArray
from service.catalogue.filters import Filter
from service.catalogue.live_items import LiveItems
from service.catalogue.taking import NoIntake
from service.engine.engine import HostEngine
from service.engine.feeds import History
from service.generation.generation import Generation
from service.generation.load import new_generation
from service.generation.recommender import Query, Recommendation
from service.metrics import Metrics
from service.retrieval.choose import make_retriever
from service.retrieval.live import Live
from service.retrieval.overlay import Overlay
from service.retrieval.rows import Rows
from service.settings import RetrieverKind, Settings
from tests.tiny_bundle import ITEMS, attributes_of

QUERIES, LIVE = 2_000, 10


class RandomScorer:
    """Users who like anything: every item comes first for somebody."""

    provider = "random"

    def __init__(self, width: int) -> None:
        self.width = width
        self.random = np.random.default_rng(0)

    def encode(self, histories: Sequence[History]) -> FloatArray:
        return self.random.standard_normal((len(histories), self.width), np.float32)


class Items(LiveItems):
    """What lives is no item's put, but rows."""

    def first(self, rows_J: Rows) -> Rows:
        return rows_J


def all_attributes() -> list[dict[str, Any]]:
    """Of the bundle's items, one of which is cheaper now, and of live ones."""
    own = [attributes_of(n) for n in range(ITEMS)]
    own[58] = {"price": 1}
    return own + [{"kind": "scarf", "price": n} for n in range(LIVE)]


def beside(bundle: Bundle) -> Live:
    random = np.random.default_rng(2)
    vectors_MD = random.standard_normal((LIVE, bundle.item_vectors_ND.shape[1]), np.float32)
    return Live(vectors_MD, random.random(LIVE) < 0.2, random.random(ITEMS) < 0.2)


def generation(bundle: Bundle, kind: RetrieverKind) -> Generation:
    settings, metrics, items = Settings(bundle=bundle.directory), Metrics(), Items(bundle)
    items.live = beside(bundle)
    scorer = RandomScorer(bundle.item_vectors_ND.shape[1])
    base = make_retriever(bundle, kind, 1)
    base.few = 20
    overlay = Overlay(base, bundle.item_vectors_ND, 1, lambda: items.live)
    engine = HostEngine(scorer, overlay)
    for row in (58, *range(ITEMS, ITEMS + LIVE)):
        items.matching.put(row, all_attributes()[row])
    return new_generation(items, engine, NoIntake(), settings, metrics)


def queries() -> list[Query]:
    random = np.random.default_rng(1)

    def some(most: int) -> list[str]:
        return [f"item-{n}" for n in random.integers(0, ITEMS + 5, random.integers(0, most))]

    wanted = [
        None,
        Filter.of({"kind": {"in": ["shoe", "scarf"]}}),
        Filter.of({"kind": {"not": ["red"]}, "price": {"lt": 30}}),
        Filter.of({"price": {"gte": 20}}),
        Filter.of({"price": {"in": [1, 2, 3]}}),
    ]
    return [
        Query(
            some(30),
            int(random.integers(1, 80)),
            some(150),
            bool(random.integers(2)),
            allow=None if random.random() < 0.5 else some(100),
            filter=wanted[int(random.integers(len(wanted)))],
        )
        for _ in range(QUERIES)
    ]


@pytest.mark.parametrize("kind", ["exact", "compressed"])
def test_nothing_left_out_is_answered_and_k_items_are_where_k_exist(
    tiny: Bundle, indexed: Bundle, kind: RetrieverKind
) -> None:
    asked, bundle = queries(), indexed if kind == "compressed" else tiny

    async def answers() -> list[Recommendation]:
        served = generation(bundle, kind)
        await served.start()
        found = []
        for first in range(0, QUERIES, 32):
            batch = asked[first : first + 32]
            found += await asyncio.gather(*(served.recommender.recommend(query) for query in batch))
        await served.close()
        return found

    live, attributes = beside(bundle), all_attributes()
    there = np.flatnonzero(~np.concatenate([live.gone_N, live.gone_M])).tolist()
    popular = 0
    for query, found in zip(asked, asyncio.run(answers()), strict=True):
        items = [item.item_index for item in found.items]
        hidden = {*query.exclude, *(() if query.include_history else query.history)}
        shown = {
            row
            for row in there
            if (row >= ITEMS or f"item-{row}" not in hidden)  # nothing here names a live one
            and (query.allow is None or (row < ITEMS and f"item-{row}" in query.allow))
            and (query.filter is None or query.filter.matches(attributes[row]))
        }
        assert shown.issuperset(items)
        assert len(set(items)) == len(items) == min(query.k, len(shown))
        if found.fallback:
            popular += 1
            assert items == sorted(shown, key=lambda n: (n >= ITEMS, -n))[: query.k]
    assert popular > 20


def test_the_thorough_trial_finds_nothing_here() -> None:
    kept, _ = filters.checked(filters.drawn(np.random.default_rng(0)), 64)
    assert kept == {"matrix": 64, "flat": 64, "compressed": 64}


def ask(client: TestClient, **body: Any) -> tuple[int, Any]:
    response = client.post("/recommend", json=body)
    return response.status_code, response.json()


@pytest.mark.parametrize("history", [["item-3", "item-4"], []])
def test_a_filter_and_allowed_ids_by_http(client: TestClient, history: list[str]) -> None:
    def numbers(**body: Any) -> set[int]:
        status, answer = ask(client, history=history, k=60, **body)
        assert status == 200, answer
        return {int(item["item_id"].removeprefix("item-")) for item in answer["items"]}

    cheap = {"kind": "shoe", "price": {"lt": 20, "gt": 10}}
    left = {n for n in range(ITEMS) if f"item-{n}" not in history}
    assert numbers(filter=cheap) == {11, 13, 15, 17, 19}
    assert numbers(filter=cheap, exclude=["item-13"]) == {11, 15, 17, 19}
    assert numbers(filter=cheap, allow=["item-13", "item-12", "nope"]) == {13}
    assert numbers(allow=["item-13", "item-12", "nope"]) == {12, 13}
    assert numbers(allow=[]) == set()
    assert numbers(filter={}) == left
    assert numbers(filter={"kind": ["coat"]}) == set()
    assert numbers(filter={"kind": {"not": ["shoe", "hat"]}}) == left & {0}
    assert numbers(filter={"price": {"eq": 7}}) == numbers(filter={"price": 7.0}) == {7}


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        ({"filter": {"colour": "red"}}, "filter.colour", "items have kind, price"),
        ({"filter": {"price": {"lt": "20"}}}, "filter.price.lt", "should be a number"),
        ({"filter": {"price": {"lt": True}}}, "filter.price.lt", "should be a number"),
        ({"filter": {"kind": {"lt": 20}}}, "filter.kind", "no item has a number here"),
        ({"filter": {"price": {"below": 20}}}, "filter.price.below", "not permitted"),
        ({"filter": {"price": {}}}, "filter.price", "should name some of eq, in"),
        ({"filter": {"price": {"eq": 1, "in": [1]}}}, "filter.price", "give one of them"),
        ({"filter": {"kind": [None]}}, "filter.kind.in.0", "a text, a number, true or false"),
        ({"filter": {"kind": [["a"]]}}, "filter.kind.in.0", "a text, a number, true or false"),
        ({"filter": {"kind": "a" * 2000}}, "filter.kind.in.0", "at most 1024 characters"),
        ({"filter": {"kind": ["a"] * 1001}}, "filter.kind.in", "at most 1000 items"),
        ({"filter": {"kind": ["a"] * 600, "price": [1] * 600}}, "filter", "at most 1000 values"),
        ({"filter": {f"x{n}": 1 for n in range(1000)}}, "filter", "at most 32 attributes"),
        ({"filter": ["kind"]}, "filter", "valid dictionary"),
        ({"allow": ["a"] * 10_001}, "allow", "at most 10000 items"),
        ({"allow": [1]}, "allow.0", "valid string"),
    ],
)
def test_what_a_filter_may_not_be_is_said(
    client: TestClient, body: dict[str, Any], field: str, message: str
) -> None:
    status, problem = ask(client, history=["item-1"], **body)
    assert status == 422
    assert [error["field"] for error in problem["errors"]] == [field]
    assert message in problem["errors"][0]["message"]
    assert "Value error" not in problem["detail"]
