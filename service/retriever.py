"""Retriever: user vectors -> the best items by inner product. The only module that knows FAISS."""

import os
from typing import Any, NamedTuple, Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from models.types import FloatArray
from service.settings import RetrieverKind

EXACT_UP_TO = 200_000  # items; beyond, a lone exact query takes over 10 ms

# FAISS turns to matrix products at 128,000 numbers of all queries together, some 1,000 queries,
# which no micro-batch has. Measured over 3k-100k items: from 8 queries on they win (2-5x at 32),
# below 4 its plain scan does (3-10x at 1).
_MATRIX_PRODUCT_FROM = 8
_GPU_MOST = 2048  # items that FAISS finds on a GPU at once
_SEED = 0


class Found(NamedTuple):
    """The best items of each query, best first: scores (B, K) and item indices (B, K)."""

    scores_BK: FloatArray
    items_BK: NDArray[np.int64]


class Retriever(Protocol):
    """Searches the catalogue."""

    kind: str

    def search(self, vectors_BD: FloatArray, k: int) -> Found:
        """The best ``k`` items of each query, or all where the catalogue has fewer."""


class FlatRetriever:
    """Exact search over all item vectors, on a GPU where FAISS has one, and of any size."""

    kind = "exact"

    def __init__(self, item_vectors_ND: FloatArray, threads: int, *, gpu: bool = False) -> None:
        _set_matrix_products(item_vectors_ND.shape[1])
        self.threads = threads
        self.index: Any = faiss.IndexFlatIP(item_vectors_ND.shape[1])
        self.index.add(np.ascontiguousarray(item_vectors_ND))
        self.gpu_index = _on_gpu(self.index) if gpu else None

    def search(self, vectors_BD: FloatArray, k: int) -> Found:
        """The best ``k`` items of each query."""
        faiss.omp_set_num_threads(self.threads)  # OpenMP keeps it by thread: set where it searches
        wanted = min(k, self.index.ntotal)
        index = self.index if self.gpu_index is None or wanted > _GPU_MOST else self.gpu_index
        return Found(*index.search(np.ascontiguousarray(vectors_BD), wanted))


class CompressedRetriever:
    """16 bytes an item are scanned, in the lists that lie nearest; the best are scored exactly.

    Lists are k-means cells; within one, what is left of each vector is kept as 32 four-bit codes,
    which FAISS looks up in registers (fast scan). The semantic ID's own first code makes a worse
    cell and its codes explain half of a vector, for words and z_ID are in no code
    (docs/benchmarks/serving-log.md).

    list_share: lists that are searched, of 1; None: 8 times the square root of their number.
    """

    kind = "compressed"

    def __init__(
        self,
        item_vectors_ND: FloatArray,
        threads: int,
        reranked: int = 4000,
        list_share: float | None = None,
    ) -> None:
        self.vectors_ND = item_vectors_ND
        self.threads = threads
        self.reranked = reranked
        _set_matrix_products(item_vectors_ND.shape[1])
        faiss.omp_set_num_threads(os.cpu_count() or 1)
        self.index = build_index(item_vectors_ND)
        share = 8 * self.index.nlist**-0.5 if list_share is None else list_share
        self.lists = max(1, round(min(1.0, share) * self.index.nlist))

    def search(self, vectors_BD: FloatArray, k: int) -> Found:
        """The best ``k`` items of each query; always so many, however many lists that takes."""
        faiss.omp_set_num_threads(self.threads)
        wanted, lists = min(k, len(self.vectors_ND)), self.lists
        queries_BD = np.ascontiguousarray(vectors_BD)
        most = min(len(self.vectors_ND), max(self.reranked, 10 * wanted))
        while True:
            near_BR = self._scan(queries_BD, most, lists)
            if (near_BR >= 0).sum(axis=1).min() >= wanted:
                break
            lists, most = lists * 2, len(self.vectors_ND) if lists > self.index.nlist else most
        pairs = zip(queries_BD, near_BR, strict=True)
        best = [self._rerank(query_D, near_R[near_R >= 0], wanted) for query_D, near_R in pairs]
        return Found(np.stack([b.scores_BK for b in best]), np.stack([b.items_BK for b in best]))

    def _scan(self, queries_BD: FloatArray, most: int, lists: int) -> NDArray[np.int64]:
        """Rows of the ``most`` items with the best approximate scores, -1 where there are fewer."""
        parameters = faiss.SearchParametersIVF()
        parameters.nprobe = min(lists, self.index.nlist)
        rows_BR: NDArray[np.int64] = self.index.search(queries_BD, most, params=parameters)[1]
        return rows_BR

    def _rerank(self, query_D: FloatArray, rows_J: NDArray[np.int64], k: int) -> Found:
        scores_J = self.vectors_ND[rows_J] @ query_D
        best_K = np.argpartition(-scores_J, k - 1)[:k]
        best_K = best_K[np.argsort(-scores_J[best_K], kind="stable")]
        return Found(scores_J[best_K], rows_J[best_K])


def _set_matrix_products(width: int) -> None:
    faiss.cvar.distance_compute_blas_threshold = _MATRIX_PRODUCT_FROM * width


def build_index(item_vectors_ND: FloatArray) -> Any:
    """Inverted lists, about the square root of the items, over 4-bit codes of two numbers or more.

    Learned from at most 40 vectors a list, drawn by a fixed seed: a million items take 16 s.
    """
    items, width = item_vectors_ND.shape
    lists = 1 << max(0, round(np.log2(items**0.5)))
    codes = next(m for m in (32, 16, 8, 4, 2, 1) if width % m == 0)
    metric = faiss.METRIC_INNER_PRODUCT
    index = faiss.IndexIVFPQFastScan(faiss.IndexFlatIP(width), width, lists, codes, 4, metric)
    index.by_residual = True
    index.cp.niter = 8
    sample = np.random.default_rng(_SEED).permutation(items)[: max(40 * lists, 4096)]
    index.train(np.ascontiguousarray(item_vectors_ND[np.sort(sample)]))
    index.add(np.ascontiguousarray(item_vectors_ND))
    return index


def make_retriever(
    item_vectors_ND: FloatArray, kind: RetrieverKind, threads: int, *, gpu: bool = False
) -> Retriever:
    """``auto``: exact up to ``EXACT_UP_TO`` items, compressed beyond."""
    from service.matrix_retriever import MOST_BYTES, MatrixRetriever

    if kind == "compressed" or (kind == "auto" and len(item_vectors_ND) > EXACT_UP_TO):
        return CompressedRetriever(item_vectors_ND, threads)
    if gpu or item_vectors_ND.nbytes > MOST_BYTES:
        return FlatRetriever(item_vectors_ND, threads, gpu=gpu)
    return MatrixRetriever(item_vectors_ND, threads)


def _on_gpu(index: Any) -> Any:
    """The same index in GPU memory, where this FAISS has been built for it and finds one."""
    if not hasattr(faiss, "StandardGpuResources") or not faiss.get_num_gpus():
        return None
    return faiss.index_cpu_to_all_gpus(index)
