"""Compressed retrieval: 16 bytes an item are scanned, in the lists that lie nearest.

The index was learned when the bundle was made (training/export/index.py). The best by its codes are
scored exactly.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, Self

import faiss
import numpy as np

from models.contract.bundle import FILES, Bundle, BundleError
from models.contract.mapped import load_mapped
from models.contract.types import FloatArray
from service.retrieval.hidden import Group, alike, selector, unwanted, without
from service.retrieval.picked import best_of_rows
from service.retrieval.retriever import Found
from service.retrieval.rows import Rows, RowSet
from service.retrieval.selection import Selection
from service.retrieval.spread import Spread

_FEW = 4  # times as many allowed rows as are re-ranked are scored one by one, and fewer
_LEAST = 5  # times as many allowed rows as are re-ranked are scanned, at least
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
        self.few = _FEW * self.reranked
        self.spread = Spread(index)

    @classmethod
    def load(cls, bundle: Bundle, threads: int) -> Self:
        """Over a bundle's item vectors. Raises BundleError where it has no index."""
        if bundle.index_path is None:
            raise BundleError("this bundle is searched exactly: it has no compressed index")
        index = faiss.read_index(str(bundle.index_path))
        rotation_DD = load_mapped(bundle.directory / FILES.ROTATION)["rotation"]
        return cls(bundle.item_vectors_ND, index, rotation_DD, threads)

    def search(
        self,
        vectors_BD: FloatArray,
        k: Sequence[int],
        selections: Sequence[Selection],
        gone: RowSet | None = None,
    ) -> Found:
        """The best ``k[b]`` items of query b in ``selections[b]``, none of ``gone``, however many
        lists that takes.
        """
        faiss.omp_set_num_threads(self.threads)  # OpenMP keeps it by thread: set where it searches
        search = partial(self._search, gone=gone)
        return alike(vectors_BD, k, selections, len(self.vectors_ND), search)

    def _search(self, group: Group, gone: RowSet | None) -> Found:
        shown = group.shown
        if gone is not None:
            shown = gone.others if shown is None else shown.without(gone)
        wanted = min(group.k + max(map(len, group.hidden)), len(self.vectors_ND))
        turned_BD = np.ascontiguousarray(group.vectors_BD @ self.rotation_DD)
        lists = self._lists(turned_BD, group.allowed)
        near_BR = self._near(turned_BD, lists, wanted, group.taken, shown)
        found = best_of_rows(group.vectors_BD, self.vectors_ND, near_BR, wanted)
        return without(found, unwanted(found, group.hidden))

    def _lists(self, turned_BD: FloatArray, allowed: RowSet | None) -> int:
        if allowed is None:
            return self.lists
        wanted = max(allowed.count * self.lists / self.index.nlist, _LEAST * self.reranked)
        return max(self.lists, self.spread.lists(turned_BD, allowed, wanted))

    def _near(
        self, turned_BD: FloatArray, fewest: int, wanted: int, taken: int, shown: RowSet | None
    ) -> Rows:
        """The items that look best in so many lists and more, ``wanted`` at least where so many are
        shown, then -1.

        What a query hides may be just what lies nearest: what is best then is less near, among more
        that is as good.
        """
        items, lists = len(self.vectors_ND), self.index.nlist
        most = min(items, max(self.reranked + _FOR_ONE_HIDDEN * taken, 10 * wanted))
        searched = fewest + _FOR_A_HIDDEN_LIST * taken * lists // items
        told: dict[str, Any] = {} if shown is None else {"sel": selector(shown)}
        there = items if shown is None else shown.count
        while True:
            asked = faiss.SearchParametersIVF(nprobe=min(searched, lists), **told)  # type: ignore[call-arg]
            near_BR: Rows = self.index.search(turned_BD, most, params=asked)[1]
            there_B = (near_BR >= 0).sum(axis=1)
            if there_B.min() >= min(wanted, there) or (searched >= lists and most == items):
                return near_BR
            searched, most = searched * 2, items if searched >= lists else most
