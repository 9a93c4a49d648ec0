"""Exact retrieval by FAISS's flat index: on a GPU, or of more vectors than one graph may hold."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import faiss
import numpy as np

from models.contract.types import FloatArray
from service.retrieval.hidden import Group, alike, selector, unwanted, without
from service.retrieval.retriever import Found
from service.retrieval.rows import RowSet
from service.retrieval.selection import Selection

# FAISS turns to matrix products at 128,000 numbers of all queries together, some 1,000 queries,
# which no micro-batch has. Measured over 3k-100k items: from 8 queries on they win (2-5x at 32),
# below 4 its plain scan does (3-10x at 1).
_MATRIX_PRODUCT_FROM = 8
_GPU_MOST = 2048  # items that FAISS finds on a GPU at once
_SPARE = 16  # items that are found in the place of those that are gone, and twice their share


class FlatRetriever:
    """Exact search over all item vectors, on a GPU where FAISS has one, and of any size."""

    kind = "exact"

    def __init__(self, item_vectors_ND: FloatArray, threads: int, *, gpu: bool = False) -> None:
        _set_matrix_products(item_vectors_ND.shape[1])
        self.threads = threads
        self.few = len(item_vectors_ND) // 2
        self.index: Any = faiss.IndexFlatIP(item_vectors_ND.shape[1])
        self.index.add(np.ascontiguousarray(item_vectors_ND))
        self.gpu_index = _on_gpu(self.index) if gpu else None

    def search(
        self,
        vectors_BD: FloatArray,
        k: Sequence[int],
        selections: Sequence[Selection],
        gone: RowSet | None = None,
    ) -> Found:
        """The best ``k[b]`` items of query b in ``selections[b]``, none of ``gone``."""
        faiss.omp_set_num_threads(self.threads)  # OpenMP keeps it by thread: set where it searches
        search = partial(self._search, gone=gone)
        return alike(vectors_BD, k, selections, self.index.ntotal, search)

    def _search(self, group: Group, gone: RowSet | None) -> Found:
        """What is gone is left out like what is hidden. For whom too little is left then, and for
        whom little may be found at all, FAISS is told of it.
        """
        wanted = min(group.k + max(map(len, group.hidden)), self.index.ntotal)
        if group.shown is not None:
            shown = group.shown if gone is None else group.shown.without(gone)
            return self._told(group, wanted, shown)
        if gone is None:
            found = self._plain(group.vectors_BD, wanted)
            return without(found, unwanted(found, group.hidden))
        spare = _SPARE + 2 * wanted * gone.count // self.index.ntotal
        found = self._plain(group.vectors_BD, min(wanted + spare, self.index.ntotal))
        left_out_BK = unwanted(found, group.hidden) | gone.holds(found.items_BK)
        left_B = (~left_out_BK).sum(axis=1)
        if left_B.min() < group.k and found.items_BK.shape[1] < self.index.ntotal:
            return self._told(group, wanted, gone.others)
        return without(found, left_out_BK)

    def _plain(self, vectors_BD: FloatArray, wanted: int) -> Found:
        index = self.index if self.gpu_index is None or wanted > _GPU_MOST else self.gpu_index
        return Found(*index.search(vectors_BD, wanted))

    def _told(self, group: Group, wanted: int, shown: RowSet) -> Found:
        told = faiss.SearchParameters(sel=selector(shown))  # type: ignore[call-arg]
        found = Found(*self.index.search(group.vectors_BD, wanted, params=told))
        return without(found, unwanted(found, group.hidden))


def _set_matrix_products(width: int) -> None:
    faiss.cvar.distance_compute_blas_threshold = _MATRIX_PRODUCT_FROM * width


def _on_gpu(index: Any) -> Any:
    """The same index in GPU memory, where this FAISS has been built for it and finds one."""
    if not hasattr(faiss, "StandardGpuResources") or not faiss.get_num_gpus():
        return None
    return faiss.index_cpu_to_all_gpus(index)
