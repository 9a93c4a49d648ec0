"""Exact retrieval by FAISS's flat index: on a GPU, or of more vectors than one graph may hold."""

from collections.abc import Sequence
from typing import Any

import faiss
import numpy as np

from models.contract.types import FloatArray
from service.retrieval.hidden import MANY, alike, all_but, without
from service.retrieval.retriever import Found, Rows

# FAISS turns to matrix products at 128,000 numbers of all queries together, some 1,000 queries,
# which no micro-batch has. Measured over 3k-100k items: from 8 queries on they win (2-5x at 32),
# below 4 its plain scan does (3-10x at 1).
_MATRIX_PRODUCT_FROM = 8
_GPU_MOST = 2048  # items that FAISS finds on a GPU at once


class FlatRetriever:
    """Exact search over all item vectors, on a GPU where FAISS has one, and of any size."""

    kind = "exact"

    def __init__(self, item_vectors_ND: FloatArray, threads: int, *, gpu: bool = False) -> None:
        _set_matrix_products(item_vectors_ND.shape[1])
        self.threads = threads
        self.index: Any = faiss.IndexFlatIP(item_vectors_ND.shape[1])
        self.index.add(np.ascontiguousarray(item_vectors_ND))
        self.gpu_index = _on_gpu(self.index) if gpu else None

    def search(self, vectors_BD: FloatArray, k: Sequence[int], hidden: Sequence[Rows]) -> Found:
        """The best ``k[b]`` items of query b, none of ``hidden[b]``."""
        faiss.omp_set_num_threads(self.threads)  # OpenMP keeps it by thread: set where it searches
        return alike(vectors_BD, k, hidden, self.index.ntotal, self._search)

    def _search(self, vectors_BD: FloatArray, k: int, hidden: Sequence[Rows]) -> Found:
        more = max(map(len, hidden))
        if more >= MANY:
            told = faiss.SearchParameters(sel=all_but(hidden[0]))  # type: ignore[call-arg]
            return Found(*self.index.search(vectors_BD, k, params=told))
        wanted = min(k + more, self.index.ntotal)
        index = self.index if self.gpu_index is None or wanted > _GPU_MOST else self.gpu_index
        return without(Found(*index.search(vectors_BD, wanted)), hidden)


def _set_matrix_products(width: int) -> None:
    faiss.cvar.distance_compute_blas_threshold = _MATRIX_PRODUCT_FROM * width


def _on_gpu(index: Any) -> Any:
    """The same index in GPU memory, where this FAISS has been built for it and finds one."""
    if not hasattr(faiss, "StandardGpuResources") or not faiss.get_num_gpus():
        return None
    return faiss.index_cpu_to_all_gpus(index)
