"""Random filters and exclusions: what comes back is what a plain look at every item would give.

A drawn catalogue with attributes, live rows beside it, rows that are gone and attributes that have
changed; every retriever, batches of 32. Vectors are of whole numbers, so that no score is rounded
and the ranking must be the same to the last bit.
"""

import asyncio
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.reliability.rows import Row
from models.contract.attributes import Attributes, write_attributes
from models.contract.types import FloatArray
from service.catalogue.filters import Filter
from service.catalogue.matching import Matching
from service.retrieval.compressed import CompressedRetriever
from service.retrieval.flat import FlatRetriever
from service.retrieval.live import Live
from service.retrieval.matrix import MatrixRetriever
from service.retrieval.overlay import Overlay
from service.retrieval.retriever import BaseRetriever, Found
from service.retrieval.rows import Rows, RowSet
from service.retrieval.selection import Allowed, Selection
from training.export.index import learn_index

ITEMS, LIVE, WIDTH = 4_000, 400, 16  # the compressed one re-ranks all of so many: it is exact, too
_BATCH = 32
_CATEGORIES = [f"category-{n}" for n in range(30)]
_BRANDS = ["Acme", "Böhm", "17", "", "true"]


class Asked(NamedTuple):
    """What a request says, and what of it each of all rows is like."""

    k: int
    selection: Selection
    wanted_J: Rows  # rows that it may find, by a look at each


class Shop(NamedTuple):
    """The catalogue, at the moment of all requests."""

    items_ND: FloatArray
    live: Live
    attributes: list[dict[str, Any]]  # of all rows
    matching: Matching


def rows(queries: int) -> Iterator[Row]:
    """One a retriever; all are asked the same."""
    kept, items = checked(drawn(np.random.default_rng(0)), queries)
    for name, count in kept.items():
        yield Row(
            f"random filters, allowed and excluded ids, {name}",
            queries,
            "no item that was left out; min(K, available) of the best of the others, in order",
            count,
            f"{items / queries:.1f} items an answer",
        )


def retrievers(items_ND: FloatArray) -> dict[str, BaseRetriever]:
    """By name."""
    index = learn_index(items_ND)
    return {
        "matrix": MatrixRetriever(items_ND, 1),
        "flat": FlatRetriever(items_ND, 1),
        "compressed": CompressedRetriever(items_ND, index.faiss, index.rotation_DD, 1),
    }


def checked(shop: Shop, queries: int) -> tuple[dict[str, int], int]:
    """By retriever, how many of so many random queries were answered as they should; and with how
    many items in all.
    """
    random = np.random.default_rng(1)
    made = retrievers(shop.items_ND)
    all_JD = np.concatenate([shop.items_ND, shop.live.vectors_MD])
    kept, items = dict.fromkeys(made, 0), 0
    for first in range(0, queries, _BATCH):
        size = min(_BATCH, queries - first)
        batch = asyncio.run(_asked(shop, size, random))
        users_BD = random.integers(-9, 10, (size, WIDTH)).astype(np.float32)
        for name, retriever in made.items():
            retriever.few = int(random.choice([0, 100, ITEMS]))  # one by one, or by the retriever
            overlay = Overlay(retriever, shop.items_ND, 1, lambda: shop.live)
            found = overlay.search(users_BD, [a.k for a in batch], [a.selection for a in batch])
            for number, asked in enumerate(batch):
                kept[name] += _as_plain(found, number, asked, all_JD @ users_BD[number])
        items += sum(min(asked.k, len(asked.wanted_J)) for asked in batch)
    return kept, items


def _as_plain(found: Found, query: int, asked: Asked, scores_J: FloatArray) -> bool:
    count = min(asked.k, len(asked.wanted_J))
    items_K, scores_K = found.items_BK[query], found.scores_BK[query]
    best_K = np.sort(scores_J[asked.wanted_J])[::-1][:count]
    return bool(
        (items_K[count:] == -1).all()
        and len(np.unique(items_K[:count])) == count
        and np.isin(items_K[:count], asked.wanted_J).all()
        and (scores_K[:count] == best_K).all()
        and (scores_J[items_K[:count]] == best_K).all()
    )


def drawn(random: np.random.Generator) -> Shop:
    """A shop: a tenth of its rows gone, a tenth of the bundle's with attributes that changed."""
    total = ITEMS + LIVE
    vectors = random.integers(-9, 10, (total, WIDTH)).astype(np.float32)
    attributes = [_attributes(random) for _ in range(total)]
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "attributes.safetensors"
        write_attributes(path, (json.dumps(each) for each in attributes[:ITEMS]))
        matching = Matching(Attributes.load(path), ITEMS)
    for row in (*random.choice(ITEMS, ITEMS // 10, replace=False).tolist(), *range(ITEMS, total)):
        attributes[row] = _attributes(random)
        matching.put(row, attributes[row])
    gone_J = random.random(total) < 0.1
    live = Live(vectors[ITEMS:], gone_J[ITEMS:], gone_J[:ITEMS])
    return Shop(vectors[:ITEMS], live, attributes, matching)


def _attributes(random: np.random.Generator) -> dict[str, Any]:
    price = round(float(random.lognormal(3, 1)), 2)
    brands = [str(random.choice(_BRANDS)) for _ in range(random.integers(0, 3))]
    all_of = {
        "category": str(random.choice(_CATEGORIES)),
        "price": str(price) if random.random() < 0.1 else price,
        "brand": brands,
        "new": bool(random.random() < 0.05),
        "sizes": random.integers(30, 50, 3).tolist(),
    }
    return {name: value for name, value in all_of.items() if random.random() < 0.9}


def random_filter(random: np.random.Generator) -> Filter:
    """Of one to three attributes."""
    low, high = np.sort(random.lognormal(3, 1, 2)).tolist()
    some = [str(name) for name in random.choice(_CATEGORIES, random.integers(1, 6))]
    all_of: dict[str, Sequence[dict[str, Any]]] = {
        "category": [{"in": some}, {"not": some}],
        "price": [{"lt": high}, {"gte": low}, {"gt": low, "lte": high}],
        "brand": [{"in": [random.choice(_BRANDS)]}, {"not": ["Acme", 17]}, {"in": [17]}],
        "new": [{"in": [True]}, {"not": [True]}],
        "sizes": [{"in": [31, 49]}, {"lt": 35, "gt": 33}, {"not": [40]}],
    }
    names = random.choice([*all_of], random.integers(1, 4), replace=False).tolist()
    return Filter.of(
        {name: all_of[name][int(random.integers(len(all_of[name])))] for name in names}
    )


async def _asked(shop: Shop, count: int, random: np.random.Generator) -> list[Asked]:
    return [await _one(shop, random) for _ in range(count)]


async def _one(shop: Shop, random: np.random.Generator) -> Asked:
    total = ITEMS + LIVE
    wanted_J = ~np.concatenate([shop.live.gone_N, shop.live.gone_M])
    hidden_J = random.choice(total, random.choice([0, 5, 50, 2_000]), replace=False)
    wanted_J[hidden_J] = False
    allowed = None
    if random.random() < 0.8:
        by = random_filter(random)
        allowed = await shop.matching.allowed(by)
        wanted_J &= np.array([by.matches(each) for each in shop.attributes])
    elif random.random() < 0.5:
        rows_J = np.sort(random.choice(total, random.choice([0, 3, 300, 3_000]), replace=False))
        base = RowSet(ITEMS, rows=rows_J[rows_J < ITEMS])
        allowed = Allowed(base, rows_J[rows_J >= ITEMS])
        wanted_J &= np.isin(np.arange(total), rows_J)
    k = int(random.choice([1, 10, 100, 500]))
    return Asked(k, Selection(hidden_J, allowed), np.flatnonzero(wanted_J))
