"""The bundle's items and what lives beside them, searched as one catalogue.

What is gone of the bundle's is told to its retriever. Live rows are all scored, and take their
place among the best of the bundle's; what a history brings to mind takes its own last. Whoever may
find few rows of the bundle has those scored one by one: the exact answer, whatever the retriever.
"""

from collections.abc import Sequence

import faiss
import numpy as np

from models.contract.types import FloatArray
from service.retrieval.beside import Beside
from service.retrieval.gone import Gone
from service.retrieval.live import CurrentLive, Live
from service.retrieval.picked import best_of_each
from service.retrieval.remembered import Remembered, deeper
from service.retrieval.retriever import BaseRetriever, Found, nothing_found, tidied
from service.retrieval.rows import Rows, RowSet, but
from service.retrieval.selection import Selection


class Overlay:
    """A Retriever around one of the bundle's items, asking for what is live once a search."""

    def __init__(
        self, base: BaseRetriever, item_vectors_ND: FloatArray, threads: int, live: CurrentLive
    ) -> None:
        self.base = base
        self.kind = base.kind
        self.items_ND = item_vectors_ND
        self.threads = threads
        self.beside = Beside(item_vectors_ND.shape[1], threads)
        self.remembered = Remembered(item_vectors_ND, threads)
        self.live = live
        self.gone = Gone()

    def search(
        self, vectors_BD: FloatArray, k: Sequence[int], selections: Sequence[Selection]
    ) -> Found:
        """The best ``k[b]`` items of query b in ``selections[b]``; live item m is N + m."""
        live = self.live()
        if all(selection.recalled is None for selection in selections):
            return self._found(vectors_BD, k, selections, live)
        found = self._found(vectors_BD, deeper(k, selections), selections, live)
        return self.remembered.add(found, vectors_BD, k, selections, live)

    def _found(
        self,
        vectors_BD: FloatArray,
        k: Sequence[int],
        selections: Sequence[Selection],
        live: Live,
    ) -> Found:
        gone = self.gone.of(live)
        if not len(live.gone_M):
            return self._base(vectors_BD, k, selections, gone)
        items = len(self.items_ND)
        of_base = [s._replace(hidden=s.hidden[s.hidden < items]) for s in selections]
        found = self._base(vectors_BD, k, of_base, gone)
        return self.beside.add(found, vectors_BD, k, selections, live)

    def _base(
        self,
        vectors_BD: FloatArray,
        k: Sequence[int],
        selections: Sequence[Selection],
        gone: RowSet | None,
    ) -> Found:
        few = [s.allowed is not None and s.allowed.base.count <= self.base.few for s in selections]
        if not any(few):
            return self.base.search(vectors_BD, k, selections, gone)
        found = nothing_found(len(k), min(max(k), len(self.items_ND)))
        for these, search in ((True, self._pick), (False, self.base.search)):
            if queries := [query for query, is_few in enumerate(few) if is_few is these]:
                asked = np.ascontiguousarray(vectors_BD[queries])
                k_of, of = [k[q] for q in queries], [selections[q] for q in queries]
                found.put(queries, search(asked, k_of, of, gone))
        return tidied(found, k)

    def _pick(
        self,
        vectors_BD: FloatArray,
        k: Sequence[int],
        selections: Sequence[Selection],
        gone: RowSet | None,
    ) -> Found:
        faiss.omp_set_num_threads(self.threads)
        rows = [_rows(selection, gone) for selection in selections]
        return best_of_each(vectors_BD, self.items_ND, rows, k)


def _rows(selection: Selection, gone: RowSet | None) -> Rows:
    """What alone may be found of the bundle, where that is told, but for what is hidden."""
    assert selection.allowed is not None
    base = selection.allowed.base
    return but((base if gone is None else base.without(gone)).rows, selection.hidden)
