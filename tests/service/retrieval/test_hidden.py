"""What a query may not find is never found, and costs neither the others nor what is found instead;
what it has brought to mind is added to scores.

Drawn catalogues, live rows, rows that are gone; queries that ask for different numbers and may find
different rows; every retriever.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.contract.memory import Recalled
from models.contract.types import FloatArray
from service.engine.device import DeviceRetriever
from service.retrieval import hidden as hidden_items
from service.retrieval import matrix, remembered
from service.retrieval.compressed import CompressedRetriever
from service.retrieval.flat import FlatRetriever
from service.retrieval.live import Live, nothing_lives
from service.retrieval.matrix import MatrixRetriever
from service.retrieval.overlay import Overlay
from service.retrieval.retriever import BaseRetriever
from service.retrieval.rows import Rows, RowSet
from service.retrieval.selection import ANYTHING, NO_ROWS, Allowed, Selection
from training.export.index import learn_index

WIDTH = 8
Make = Callable[[FloatArray], BaseRetriever]


def compressed(item_vectors_ND: FloatArray) -> CompressedRetriever:
    index = learn_index(item_vectors_ND)
    return CompressedRetriever(item_vectors_ND, index.faiss, index.rotation_DD, 1)


# 4,000 are re-ranked, so that all of a drawn catalogue are, and the compressed one is exact, too.
MAKERS: dict[str, Make] = {
    "matrix": partial(MatrixRetriever, threads=1),
    "device": partial(DeviceRetriever, device="cpu", threads=1),
    "flat": partial(FlatRetriever, threads=1),
    "compressed": compressed,
}


class Asked(NamedTuple):
    """A catalogue, what lives beside it, and a batch."""

    items_ND: FloatArray
    live: Live
    queries_BD: FloatArray
    k: list[int]
    selections: list[Selection]


def selection(items: int, hidden: list[int], allowed: list[int] | None) -> Selection:
    """Of rows, those from ``items`` on live ones."""
    hidden_J = np.array(hidden, np.int64)
    if allowed is None:
        return Selection(hidden_J)
    rows = np.array(sorted(allowed), np.int64)
    base, live = rows[rows < items], rows[rows >= items]
    return Selection(hidden_J, Allowed(RowSet(items, rows=base), live))


@st.composite
def batches(draw: st.DrawFn, fewest: int) -> Asked:
    """Small catalogues; whatever k; any rows hidden, allowed and gone, up to all.

    Vectors are of whole numbers, so that no way to add up a score rounds it.
    """
    items, live, queries = draw(st.integers(fewest, 60)), draw(st.integers(0, 20)), 12
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    k = draw(st.lists(st.integers(1, items + live + 5), min_size=queries, max_size=queries))
    rows = st.lists(st.integers(0, items + live - 1), unique=True)
    drawn = draw(st.lists(st.tuples(rows, st.none() | rows), min_size=queries, max_size=queries))
    shared = draw(rows)  # several may ask for the same rows
    selections = [selection(items, hidden, allowed) for hidden, allowed in drawn]
    for query in draw(st.lists(st.integers(0, queries - 1))):
        share = draw(st.sampled_from([0.0, 0.1, 0.9]))
        rows_J = np.flatnonzero(random.random(items + live + 2) < share)  # two come only later
        scores_J = random.integers(0, 99, len(rows_J)).astype(np.float32)
        selections[query] = selections[query]._replace(recalled=Recalled(rows_J, scores_J))
    same = selection(items, [], shared).allowed
    for query in draw(st.lists(st.integers(0, queries - 1))):
        selections[query] = selections[query]._replace(allowed=same)
    gone_J = random.random(items + live) < draw(st.sampled_from([0.0, 0.1, 0.9, 1.0]))
    vectors = random.integers(-9, 10, (items + live + queries, WIDTH)).astype(np.float32)
    beside = Live(vectors[items : items + live], gone_J[items:], gone_J[:items])
    return Asked(vectors[:items], beside, vectors[items + live :], k, selections)


def check(retriever: Overlay, asked: Asked, tolerance: float = 0.0) -> None:
    """Never a row that must not be found, always as many as there are, each once, and the best,
    best first.
    """
    items, live = len(asked.items_ND), asked.live
    found = retriever.search(asked.queries_BD, asked.k, asked.selections)
    all_JD = np.concatenate([asked.items_ND, live.vectors_MD])
    there_J = ~np.concatenate([live.gone_N, live.gone_M])
    queries = zip(*found, asked.queries_BD, asked.k, asked.selections, strict=True)
    for scores_K, items_K, query_D, k, (hidden, allowed, recalled) in queries:
        scores_J = all_JD @ query_D
        if recalled is not None:
            there = recalled.rows_J < len(scores_J)
            scores_J[recalled.rows_J[there]] += recalled.scores_J[there]
        shown = np.setdiff1d(np.flatnonzero(there_J), hidden)
        if allowed is not None:
            shown = np.intersect1d(shown, np.concatenate([allowed.base.rows, allowed.live]))
        count = min(k, len(shown))
        assert (items_K[count:] == -1).all()
        assert (scores_K[count:] == -np.inf).all()
        assert len(np.unique(items_K[:count])) == count
        assert np.isin(items_K[:count], shown).all()
        best = np.sort(scores_J[shown])[::-1][:count]
        np.testing.assert_allclose(scores_K[:count], best, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(scores_J[items_K[:count]], best, rtol=tolerance, atol=tolerance)
    assert found.items_BK.shape[1] <= items + len(live.gone_M)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_search_is_an_exact_search_of_what_may_be_found(make: Make, data: st.DataObject) -> None:
    asked = data.draw(batches(16 if make is MAKERS["compressed"] else 1))  # its codes are of 4 bits
    with pytest.MonkeyPatch.context() as patched:  # the bounds, so low that all sides are drawn
        patched.setattr(matrix, "_MANY", 8)
        patched.setattr(hidden_items, "_TOGETHER", 7)
        patched.setattr(hidden_items, "MANY", 5)
        patched.setattr("service.retrieval.flat._SPARE", 2)
        patched.setattr(remembered, "DEEP", data.draw(st.integers(1, 20)))
        base = make(asked.items_ND)
        base.few = data.draw(st.integers(0, len(asked.items_ND)))
        check(Overlay(base, asked.items_ND, 1, lambda: asked.live), asked)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_one_that_asks_for_500_and_hides_thousands_beside_31_ordinary_ones(make: Make) -> None:
    """At the bounds as they are; the greedy one hides just what it would have got."""
    random = np.random.default_rng(0)
    items_ND = random.standard_normal((6000, 16), np.float32)
    queries_BD = random.standard_normal((32, 16), np.float32)
    best_N = np.argsort(-(items_ND @ queries_BD[5]))
    selections = [Selection(random.choice(6000, 50, replace=False)) for _ in range(32)]
    k, selections[5], selections[6] = [10] * 32, Selection(best_N[:5000]), ANYTHING
    k[5] = 500
    half, most = (Allowed(RowSet.of(random.random(6000) < share)) for share in (0.4, 0.8))
    selections[7:9] = [Selection(NO_ROWS, half), Selection(NO_ROWS, half)]
    selections[9:11] = [Selection(NO_ROWS, most), Selection(best_N[:2000], most)]
    base = make(items_ND)
    if isinstance(base, CompressedRetriever):
        base.reranked, base.few = 6000, 100
    for gone in (0.0, 0.01, 0.5):
        beside_MD = random.standard_normal((300, 16), np.float32)
        live = Live(beside_MD, random.random(300) < gone, random.random(6000) < gone)
        retriever = Overlay(base, items_ND, 1, lambda live=live: live)  # type: ignore[misc]
        check(retriever, Asked(items_ND, live, queries_BD, k, selections), 1e-4)


def test_what_is_live_is_asked_for_once_a_search() -> None:
    items_ND = np.eye(4, dtype=np.float32)
    plain = nothing_lives(4, 4)()
    asked: list[int] = []

    def live() -> Live:
        asked.append(len(asked))
        return plain._replace(gone_N=np.array([True, False, False, False]))

    base = MatrixRetriever(items_ND, 1)
    found = Overlay(base, items_ND, 1, live).search(items_ND[:2], [1, 1], [ANYTHING, ANYTHING])
    assert asked == [0]
    assert found.items_BK[1].tolist() == [1]
    assert found.items_BK[0, 0] != 0


class Spy:
    """An index that keeps how many queries it was given, and how many items each was to have."""

    def __init__(self, index: object) -> None:
        self.index = index
        self.asked: list[tuple[int, int]] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self.index, name)

    def search(self, vectors_BD: FloatArray, k: int, params: object = None) -> object:
        self.asked.append((len(vectors_BD), k))
        return self.index.search(vectors_BD, k, params=params)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["flat", "compressed"])
def test_no_neighbour_makes_an_ordinary_query_larger(name: str) -> None:
    """One with k = 500 and 10,000 hidden items made all 32 of its batch find 10,500."""
    random = np.random.default_rng(0)
    items_ND = random.standard_normal((20_000, 16), np.float32)
    retriever = MAKERS[name](items_ND)
    spy = retriever.index = Spy(retriever.index)  # type: ignore[attr-defined]
    queries_BD = random.standard_normal((32, 16), np.float32)
    hidden = [Selection(random.choice(20_000, 50, replace=False)) for _ in range(31)]
    retriever.search(queries_BD[:31], [10] * 31, hidden)
    alone, spy.asked = spy.asked, []
    greedy = Selection(random.choice(20_000, 10_000, replace=False))
    retriever.search(queries_BD, [*[10] * 31, 500], [*hidden, greedy])
    assert spy.asked[: len(alone)] == alone
    assert sum(queries for queries, _ in spy.asked) == 32


def test_only_who_wants_many_has_many_found_by_the_matrix_product() -> None:
    """The best of 31 rows are 10 each, of the one that wants them 500."""
    hidden = [ANYTHING] * 31 + [Selection(np.arange(10_000))]
    feeds = matrix.search_feeds([10] * 31 + [500], hidden, 100_000)
    assert feeds["k"].tolist() == [10]
    assert feeds["many"].tolist() == [31]
    assert feeds["many_k"].tolist() == [500]
    assert feeds["hidden"].shape == (10_000, 2)


class Clustered(NamedTuple):
    """A catalogue in clusters, with an own part of each item, and users who like some of it."""

    items_ND: FloatArray
    queries_BD: FloatArray
    order_BN: Rows  # best first

    @classmethod
    def drawn(cls) -> "Clustered":
        random = np.random.default_rng(0)
        centres_CD = random.standard_normal((200, 32), np.float32)
        own_ND = 0.8 * random.standard_normal((30_000, 32), np.float32)
        items_ND = centres_CD[random.integers(0, 200, 30_000)] + own_ND
        queries_BD = items_ND[random.integers(0, 30_000, 20)] + own_ND[:20]
        return cls(items_ND, queries_BD, np.argsort(-(queries_BD @ items_ND.T), axis=1))

    def recall(self, retriever: CompressedRetriever, selections: list[Selection]) -> float:
        found = retriever.search(self.queries_BD, [100] * 20, selections)
        shares = []
        for items_K, row_N, (hidden, allowed, _) in zip(
            found.items_BK, self.order_BN, selections, strict=True
        ):
            shown = ~np.isin(row_N, hidden)
            if allowed is not None:
                shown &= allowed.base.holds(row_N)
            shares.append(np.isin(items_K, row_N[shown][:100]).mean())
        return float(np.mean(shares))


def test_the_compressed_one_loses_nothing_to_what_may_not_be_found() -> None:
    """With the very best hidden, or any; with a part allowed, drawn, or far from one of them."""
    shop, random = Clustered.drawn(), np.random.default_rng(1)
    retriever = compressed(shop.items_ND)
    plain = shop.recall(retriever, [ANYTHING] * 20)
    assert plain > 0.98
    for hides in (200, 2000):
        best = [Selection(row_N[:hides]) for row_N in shop.order_BN]
        some = [Selection(random.permutation(row_N)[:hides]) for row_N in shop.order_BN]
        assert shop.recall(retriever, best) >= plain - 0.01
        assert shop.recall(retriever, some) >= plain - 0.01
    retriever.reranked, retriever.lists = 1000, 24  # so small a catalogue would be looked at whole
    plain = shop.recall(retriever, [ANYTHING] * 20)
    for share in (0.2, 0.5):
        count = int(share * 30_000)
        drawn = Selection(NO_ROWS, Allowed(RowSet.of(random.random(30_000) < share)))
        away = Allowed(RowSet(30_000, rows=np.sort(shop.order_BN[0, -count:])))
        assert shop.recall(retriever, [drawn] * 20) >= plain - 0.01
        assert shop.recall(retriever, [Selection(NO_ROWS, away)] * 20) >= plain - 0.01
