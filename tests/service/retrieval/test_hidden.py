"""What is hidden is never found, and costs neither the others nor what is found instead.

Drawn catalogues, queries that ask for different numbers and hide different rows, every retriever.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.contract.types import FloatArray
from service.engine.device import DeviceEngine
from service.engine.feeds import History
from service.engine.scorer import OnnxScorer
from service.metrics import Metrics
from service.retrieval import hidden as hidden_items
from service.retrieval import matrix
from service.retrieval.compressed import CompressedRetriever
from service.retrieval.flat import FlatRetriever
from service.retrieval.matrix import MatrixRetriever
from service.retrieval.retriever import Found, Retriever, Rows
from service.runtime import open_session
from tests.service.fakes import NONE
from training.export.index import learn_index

WIDTH = 8
Make = Callable[[FloatArray], Retriever]


class Vectors:
    """A session whose output is its input: an engine on a device, searching for given vectors."""

    device, provider = "cpu", "given"

    def __init__(self, width: int) -> None:
        from onnx import TensorProto, helper

        shape: list[str | int | None] = ["batch", width]
        graph = helper.make_graph(
            [helper.make_node("Identity", ["given"], ["user_vector"])],
            "given",
            [helper.make_tensor_value_info("given", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("user_vector", TensorProto.FLOAT, shape)],
        )
        opset = [helper.make_opsetid("", 18)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=9)
        self.session = open_session(model.SerializeToString(), "cpu", 1)

    def feeds(self, vectors: FloatArray) -> dict[str, FloatArray]:
        return {"given": vectors}


class OnDevice:
    """The device engine's search as a retriever."""

    kind = "exact"

    def __init__(self, item_vectors_ND: FloatArray) -> None:
        scorer: OnnxScorer = Vectors(item_vectors_ND.shape[1])  # type: ignore[assignment]
        self.engine = DeviceEngine(scorer, item_vectors_ND, 1, Metrics())

    def search(self, vectors_BD: FloatArray, k: list[int], hidden: list[Rows]) -> Found:
        histories: list[History] = vectors_BD  # type: ignore[assignment]
        return self.engine.candidates(histories, k, hidden)


def compressed(item_vectors_ND: FloatArray) -> CompressedRetriever:
    index = learn_index(item_vectors_ND)
    return CompressedRetriever(item_vectors_ND, index.faiss, index.rotation_DD, 1)


# 4,000 are re-ranked, so that all of a drawn catalogue are, and the compressed one is exact, too.
MAKERS: dict[str, Make] = {
    "matrix": partial(MatrixRetriever, threads=1),
    "device": OnDevice,  # type: ignore[dict-item]
    "flat": partial(FlatRetriever, threads=1),
    "compressed": compressed,
}


class Asked(NamedTuple):
    """A catalogue and a batch."""

    items_ND: FloatArray
    queries_BD: FloatArray
    k: list[int]
    hidden: list[Rows]


@st.composite
def batches(draw: st.DrawFn, fewest: int) -> Asked:
    """Small catalogues; whatever k, and any rows hidden, up to all."""
    items, queries = draw(st.integers(fewest, 60)), draw(st.integers(1, 12))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    k = draw(st.lists(st.integers(1, items + 5), min_size=queries, max_size=queries))
    rows = st.lists(st.integers(0, items - 1), unique=True)
    hidden = draw(st.lists(rows, min_size=queries, max_size=queries))
    vectors = random.standard_normal((items + queries, WIDTH), np.float32)
    return Asked(vectors[:items], vectors[items:], k, [np.array(each, np.int64) for each in hidden])


def check(retriever: Retriever, asked: Asked) -> None:
    """Never a hidden item, always as many as there are, each once, and the best, best first."""
    found = retriever.search(asked.queries_BD, asked.k, asked.hidden)
    for row, (query_D, k, rows) in enumerate(
        zip(asked.queries_BD, asked.k, asked.hidden, strict=True)
    ):
        scores_N = asked.items_ND @ query_D
        shown = np.setdiff1d(np.arange(len(scores_N)), rows)
        count = min(k, len(shown))
        items, scores = found.items_BK[row], found.scores_BK[row]
        assert (items[count:] == -1).all()
        assert (scores[count:] == -np.inf).all()
        assert len(np.unique(items[:count])) == count
        assert np.isin(items[:count], shown).all()
        best = np.sort(scores_N[shown])[::-1][:count]
        np.testing.assert_allclose(scores[:count], best, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(scores_N[items[:count]], best, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_masked_search_is_an_exact_search_of_the_rest(make: Make, data: st.DataObject) -> None:
    asked = data.draw(batches(16 if make is MAKERS["compressed"] else 1))  # its codes are of 4 bits
    with pytest.MonkeyPatch.context() as patched:  # the bounds, so low that all sides are drawn
        patched.setattr(matrix, "_MANY", 8)
        patched.setattr(hidden_items, "_TOGETHER", 7)
        patched.setattr("service.retrieval.flat.MANY", 5)
        patched.setattr("service.retrieval.compressed.MANY", 5)
        patched.setattr(hidden_items, "MANY", 5)
        check(make(asked.items_ND), asked)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_one_that_asks_for_500_and_hides_thousands_beside_31_ordinary_ones(make: Make) -> None:
    """At the bounds as they are; the greedy one hides just what it would have got."""
    random = np.random.default_rng(0)
    items_ND = random.standard_normal((6000, 16), np.float32)
    queries_BD = random.standard_normal((32, 16), np.float32)
    best_N = np.argsort(-(items_ND @ queries_BD[5]))
    k, hidden = [10] * 32, [random.choice(6000, 50, replace=False) for _ in range(32)]
    k[5], hidden[5], hidden[6] = 500, best_N[:5000], NONE
    asked = Asked(items_ND, queries_BD, k, hidden)
    retriever = make(items_ND)
    if isinstance(retriever, CompressedRetriever):
        retriever.reranked = 6000
    check(retriever, asked)


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
    hidden = [random.choice(20_000, 50, replace=False) for _ in range(31)]
    retriever.search(queries_BD[:31], [10] * 31, hidden)
    alone, spy.asked = spy.asked, []
    retriever.search(
        queries_BD, [*[10] * 31, 500], [*hidden, random.choice(20_000, 10_000, replace=False)]
    )
    assert spy.asked[: len(alone)] == alone
    assert sum(queries for queries, _ in spy.asked) == 32


def test_only_who_wants_many_has_many_found_by_the_matrix_product() -> None:
    """The best of 31 rows are 10 each, of the one that wants them 500."""
    hidden = [NONE] * 31 + [np.arange(10_000)]
    feeds = matrix.search_feeds([10] * 31 + [500], hidden, 100_000)
    assert feeds["k"].tolist() == [10]
    assert feeds["many"].tolist() == [31]
    assert feeds["many_k"].tolist() == [500]
    assert feeds["hidden"].shape == (10_000, 2)


def test_the_compressed_one_loses_nothing_to_what_is_hidden() -> None:
    """With the very best hidden, or any, it finds as much of what is best of the rest."""
    random = np.random.default_rng(0)
    centres_CD = random.standard_normal((200, 32), np.float32)
    own_ND = 0.8 * random.standard_normal((30_000, 32), np.float32)
    items_ND = centres_CD[random.integers(0, 200, 30_000)] + own_ND
    queries_BD = items_ND[random.integers(0, 30_000, 20)] + own_ND[:20]
    order_BN = np.argsort(-(queries_BD @ items_ND.T), axis=1)
    retriever = compressed(items_ND)

    def recall(hidden: list[Rows]) -> float:
        found = retriever.search(queries_BD, [100] * 20, hidden)
        shown = [row_N[~np.isin(row_N, rows)] for row_N, rows in zip(order_BN, hidden, strict=True)]
        pairs = zip(found.items_BK, shown, strict=True)
        return float(np.mean([np.isin(items_K, row_N[:100]).mean() for items_K, row_N in pairs]))

    plain = recall([NONE] * 20)
    assert plain > 0.98
    for hides in (200, 2000):
        assert recall([row_N[:hides] for row_N in order_BN]) >= plain - 0.01
        assert recall([random.permutation(row_N)[:hides] for row_N in order_BN]) >= plain - 0.01
