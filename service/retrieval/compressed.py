"""Compressed retrieval: 16 bytes an item are scanned, in the lists that lie nearest.

The index was learned when the bundle was made (training/export/index.py). The best by its codes are
scored exactly.
"""

from collections.abc import Sequence
from typing import Any, Self

import faiss
import numpy as np

from models.contract.bundle import FILES, Bundle, BundleError
from models.contract.mapped import load_mapped
from models.contract.types import FloatArray
from service.retrieval.hidden import MANY, alike, all_but, without
from service.retrieval.retriever import Found, Rows

_FOR_ONE_HIDDEN = 2  # more items that are scored exactly
_FOR_A_HIDDEN_LIST = 16  # more lists that are searched, for as many hidden items as one holds


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

    def search(self, vectors_BD: FloatArray, k: Sequence[int], hidden: Sequence[Rows]) -> Found:
        """The best ``k[b]`` items of query b, none of ``hidden[b]``, however many lists"""
        faiss.omp_set_num_threads(self.threads)  # OpenMP keeps it by thread: set where it searches
        return alike(vectors_BD, k, hidden, len(self.vectors_ND), self._search)

    def _search(self, vectors_BD: FloatArray, k: int, hidden: Sequence[Rows]) -> Found:
        more = max(map(len, hidden))
        if more >= MANY:
            near_BR = self._near(vectors_BD, k, more, all_but(hidden[0]))
            return self._rerank(vectors_BD, near_BR, k)
        wanted = min(k + more, len(self.vectors_ND))
        near_BR = self._near(vectors_BD, wanted, more, None)
        return without(self._rerank(vectors_BD, near_BR, wanted), hidden)

    def _near(self, vectors_BD: FloatArray, wanted: int, hidden: int, shown: Any) -> Rows:
        """The items that look best, ``wanted`` at least where so many are shown, then -1.

        What is hidden may be just what lies nearest: what is best then is less near, among more
        that is as good.
        """
        items, lists = len(self.vectors_ND), self.index.nlist
        turned_BD = np.ascontiguousarray(vectors_BD @ self.rotation_DD)
        most = min(items, max(self.reranked + _FOR_ONE_HIDDEN * hidden, 10 * wanted))
        searched = self.lists + _FOR_A_HIDDEN_LIST * hidden * lists // items
        while True:
            told = faiss.SearchParametersIVF(nprobe=min(searched, lists), sel=shown)  # type: ignore[call-arg]
            near_BR: Rows = self.index.search(turned_BD, most, params=told)[1]
            enough = (near_BR[:, wanted - 1] >= 0).all()  # the missing ones are last
            if enough or (searched >= lists and most == items):
                return near_BR
            searched, most = searched * 2, items if searched >= lists else most

    def _rerank(self, vectors_BD: FloatArray, rows_BR: Rows, k: int) -> Found:
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
