"""Retriever: user vectors -> the best items by inner product. The only module that knows FAISS."""

from typing import NamedTuple, Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from models.types import FloatArray


class Found(NamedTuple):
    """The best items of each query, best first: scores (B, K) and item indices (B, K)."""

    scores_BK: FloatArray
    items_BK: NDArray[np.int64]


class Retriever(Protocol):
    """Searches the catalogue."""

    def search(self, vectors_BD: FloatArray, k: int) -> Found:
        """The best ``k`` items of each query, or all where the catalogue has fewer."""


class FlatRetriever:
    """Exact search over all item vectors."""

    def __init__(self, item_vectors_ND: FloatArray, threads: int) -> None:
        # FAISS would start using matrix products at 128,000 queries; micro-batches want them at 2.
        faiss.cvar.distance_compute_blas_threshold = 2
        faiss.omp_set_num_threads(threads)
        self.index = faiss.IndexFlatIP(item_vectors_ND.shape[1])
        self.index.add(np.ascontiguousarray(item_vectors_ND))

    def search(self, vectors_BD: FloatArray, k: int) -> Found:
        """The best ``k`` items of each query."""
        queries_BD = np.ascontiguousarray(vectors_BD)
        return Found(*self.index.search(queries_BD, min(k, self.index.ntotal)))
