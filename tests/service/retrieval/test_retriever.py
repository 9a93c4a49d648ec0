"""Both retrievers on a catalogue like a learned one: clusters, and an own part of each item."""

import faiss
import numpy as np
import pytest

from models.contract.bundle import Bundle, BundleError
from models.contract.types import FloatArray
from service.retrieval.choose import make_retriever
from service.retrieval.compressed import CompressedRetriever
from service.retrieval.flat import FlatRetriever
from service.retrieval.matrix import MatrixRetriever
from service.retrieval.retriever import Found, Retriever
from service.retrieval.selection import ANYTHING
from training.export.index import balanced_rotation, learn_index

ITEMS, WIDTH = 20_000, 64


@pytest.fixture(scope="module")
def vectors_ND() -> FloatArray:
    random = np.random.default_rng(0)
    centres_CD = random.standard_normal((200, WIDTH), np.float32)
    own_ND = 0.8 * random.standard_normal((ITEMS, WIDTH), np.float32)
    return centres_CD[random.integers(0, 200, ITEMS)] + own_ND


@pytest.fixture(scope="module")
def queries_BD(vectors_ND: FloatArray) -> FloatArray:
    random = np.random.default_rng(1)
    rows = random.integers(0, ITEMS, 50)
    return vectors_ND[rows] + random.standard_normal((50, WIDTH), np.float32)


@pytest.fixture(scope="module")
def compressed(vectors_ND: FloatArray) -> CompressedRetriever:
    index = learn_index(vectors_ND)
    return CompressedRetriever(vectors_ND, index.faiss, index.rotation_DD, 1)


def search(retriever: Retriever, queries_BD: FloatArray, k: int) -> Found:
    """All ask for as many and hide nothing."""
    return retriever.search(queries_BD, [k] * len(queries_BD), [ANYTHING] * len(queries_BD))


def test_the_compressed_one_finds_what_the_exact_one_does(
    vectors_ND: FloatArray, queries_BD: FloatArray, compressed: CompressedRetriever
) -> None:
    exact = search(FlatRetriever(vectors_ND, 1), queries_BD, 100)
    found = search(compressed, queries_BD, 100)
    pairs = zip(exact.items_BK, found.items_BK, strict=True)
    assert np.mean([len(np.intersect1d(*pair)) for pair in pairs]) >= 99
    assert (np.diff(found.scores_BK) <= 0).all()
    scores_BK = np.einsum("bkd,bd->bk", vectors_ND[found.items_BK], queries_BD)
    np.testing.assert_allclose(found.scores_BK, scores_BK, rtol=1e-4, atol=1e-4)


def test_no_part_of_a_turned_vector_tells_more_than_another() -> None:
    random = np.random.default_rng(0)
    axes_DD = np.linalg.qr(random.standard_normal((16, 16)))[0]
    variance_D = np.array([100.0, 100, 100, 100] + [1.0] * 12)
    vectors_JD = random.standard_normal((50_000, 16)) * variance_D**0.5 @ axes_DD.T
    rotation_DD = balanced_rotation(vectors_JD.astype(np.float32), 4)
    np.testing.assert_allclose(rotation_DD.T @ rotation_DD, np.eye(16), atol=1e-5)
    told_P = np.var(vectors_JD @ rotation_DD, axis=0).reshape(4, 4).prod(axis=1)
    np.testing.assert_allclose(told_P, 100, rtol=0.1)  # one of the four great axes in each
    plain_P = np.var(vectors_JD, axis=0).reshape(4, 4).prod(axis=1)
    assert plain_P.std() > told_P.std()


def test_a_batch_finds_what_each_query_does_alone(
    queries_BD: FloatArray, compressed: CompressedRetriever
) -> None:
    together = search(compressed, queries_BD, 20)
    for row, query_D in enumerate(queries_BD):
        assert search(compressed, query_D[None], 20).items_BK[0].tolist() == (
            together.items_BK[row].tolist()
        )


@pytest.mark.parametrize("k", [1, 100, ITEMS, ITEMS + 5])
def test_the_matrix_product_finds_what_faiss_does(
    vectors_ND: FloatArray, queries_BD: FloatArray, k: int
) -> None:
    faiss_found = search(FlatRetriever(vectors_ND, 1), queries_BD[:5], k)
    found = search(MatrixRetriever(vectors_ND, 1), queries_BD[:5], k)
    np.testing.assert_allclose(found.scores_BK, faiss_found.scores_BK, rtol=1e-4, atol=1e-4)
    assert (found.items_BK == faiss_found.items_BK).mean() > 0.99  # but for ties within rounding
    alone = [search(MatrixRetriever(vectors_ND, 1), q[None], k) for q in queries_BD[:2]]
    for row, lone in enumerate(alone):
        np.testing.assert_allclose(lone.scores_BK[0], found.scores_BK[row], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("k", [1, 1500, ITEMS - 1, ITEMS, ITEMS + 5])
def test_there_are_always_k_items_where_k_exist(
    queries_BD: FloatArray, compressed: CompressedRetriever, k: int
) -> None:
    """One list is far too few: the search goes on until there are enough."""
    narrow = CompressedRetriever.__new__(CompressedRetriever)
    narrow.__dict__ |= {**compressed.__dict__, "lists": 1, "reranked": 10}
    found = search(narrow, queries_BD[:3], k)
    assert found.items_BK.shape == (3, min(k, ITEMS))
    assert found.items_BK.min() >= 0
    assert all(len(np.unique(items_K)) == min(k, ITEMS) for items_K in found.items_BK)


def test_it_is_chosen_by_what_the_bundle_holds_unless_told(tiny: Bundle, indexed: Bundle) -> None:
    def kind(retriever: Retriever) -> str:
        return retriever.kind

    assert kind(make_retriever(tiny, "auto", 1)) == "exact"
    assert kind(make_retriever(indexed, "auto", 1)) == "compressed"
    assert kind(make_retriever(indexed, "exact", 1)) == "exact"
    with pytest.raises(BundleError, match="no compressed index"):
        make_retriever(tiny, "compressed", 1)


def test_few_queries_are_scanned_and_many_are_a_matrix_product(vectors_ND: FloatArray) -> None:
    """FAISS counts numbers: if 8 meant queries to it, a lone one would cost 10 times as much."""
    FlatRetriever(vectors_ND, 1)
    assert faiss.cvar.distance_compute_blas_threshold == 8 * WIDTH
