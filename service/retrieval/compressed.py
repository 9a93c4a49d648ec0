"""Compressed retrieval: 16 bytes an item are scanned, in the lists that lie nearest.

The index was learned when the bundle was made (training/export/index.py). The best by its codes are
scored exactly.
"""

from typing import Any, Self

import faiss
import numpy as np
from numpy.typing import NDArray

from models.contract.bundle import FILES, Bundle, BundleError
from models.contract.mapped import load_mapped
from models.contract.types import FloatArray
from service.retrieval.retriever import Found


class CompressedRetriever:
    """Scans codes of an item in some of the lists, then scores the best exactly.

    reranked: items that are scored exactly; None: one of 500, and 4,000 at least.
    lists: how many are searched; None: 8 times the square root of their number.
    """

    kind = "compressed"

    def __init__(
        self,
        item_vectors_ND: FloatArray,
        index: Any,
        rotation_DD: FloatArray,
        threads: int,
        reranked: int | None = None,
        lists: int | None = None,
    ) -> None:
        self.vectors_ND = item_vectors_ND
        self.index, self.rotation_DD = index, rotation_DD
        self.threads = threads
        self.reranked = reranked or max(4000, len(item_vectors_ND) // 500)
        self.lists = lists or round(8 * index.nlist**0.5)

    @classmethod
    def load(cls, bundle: Bundle, threads: int) -> Self:
        """Over a bundle's item vectors. Raises BundleError where it has no index."""
        if bundle.index_path is None:
            raise BundleError("this bundle is searched exactly: it has no compressed index")
        index = faiss.read_index(str(bundle.index_path))
        rotation_DD = load_mapped(bundle.directory / FILES.ROTATION)["rotation"]
        return cls(bundle.item_vectors_ND, index, rotation_DD, threads)

    def search(self, vectors_BD: FloatArray, k: int) -> Found:
        """The best ``k`` items of each query; always so many, however many lists that takes."""
        faiss.omp_set_num_threads(self.threads)  # OpenMP keeps it by thread: set where it searches
        items, lists = len(self.vectors_ND), self.lists
        wanted = min(k, items)
        turned_BD = np.ascontiguousarray(vectors_BD @ self.rotation_DD)
        most = min(items, max(self.reranked, 10 * wanted))
        while True:
            near_BR = self._scan(turned_BD, most, lists)
            if (near_BR[:, wanted - 1] >= 0).all():  # the missing ones are last
                return self._rerank(np.ascontiguousarray(vectors_BD), near_BR, wanted)
            lists, most = lists * 2, items if lists > self.index.nlist else most

    def _scan(self, turned_BD: FloatArray, most: int, lists: int) -> NDArray[np.int64]:
        """Rows of the ``most`` items with the best approximate scores, -1 where there are fewer."""
        parameters = faiss.SearchParametersIVF()
        parameters.nprobe = min(lists, self.index.nlist)
        rows_BR: NDArray[np.int64] = self.index.search(turned_BD, most, params=parameters)[1]
        return rows_BR

    def _rerank(self, vectors_BD: FloatArray, rows_BR: NDArray[np.int64], k: int) -> Found:
        """By exact scores; in place, for gathered rows and BLAS threads would cost ten times it."""
        (queries, width), near = vectors_BD.shape, rows_BR.shape[1]
        found = Found(np.empty((queries, k), np.float32), np.empty((queries, k), np.int64))
        at = faiss.swig_ptr
        faiss.knn_inner_products_by_idx(  # type: ignore[attr-defined]
            at(vectors_BD), at(self.vectors_ND), at(rows_BR),
            width, queries, len(self.vectors_ND), near, k,
            at(found.scores_BK), at(found.items_BK), near,
        )  # fmt: skip
        return found
