"""What a history brings to mind, among what was found: the memory's scores added to the model's.

Exact, whatever found the rest: no score of the memory is negative, so whoever is among the best of
the sums and is not remembered is among the best of the model alone. And whoever is remembered, but
not among the DEEP best of the model, is scored by itself only if the memory's part could lift it
from below the last of those to the k-th best: few are.
"""

from collections.abc import Sequence

import faiss
import numpy as np

from models.contract.memory import Recalled
from models.contract.types import FloatArray
from service.retrieval.live import Live
from service.retrieval.retriever import Found, nothing_found, tidied
from service.retrieval.rows import Mask, places
from service.retrieval.selection import Selection

DEEP = 100  # of so many, the k best of the sums are looked for


class Remembered:
    """Around the bundle's item vectors."""

    def __init__(self, item_vectors_ND: FloatArray, threads: int) -> None:
        self.items_ND = item_vectors_ND
        self.threads = threads

    def add(
        self,
        found: Found,
        vectors_BD: FloatArray,
        k: Sequence[int],
        selections: Sequence[Selection],
        live: Live,
    ) -> Found:
        """The best ``k[b]`` of each query's sums, of ``deeper(k)`` found by the model alone."""
        faiss.omp_set_num_threads(self.threads)
        best = nothing_found(len(k), min(max(k), found.items_BK.shape[1]))
        for query, selection in enumerate(selections):
            own = Found(found.scores_BK[query : query + 1], found.items_BK[query : query + 1])
            if selection.recalled is not None and len(selection.recalled.rows_J):
                own = self._summed(own, vectors_BD[query], k[query], selection, live.gone_N)
            best.put([query], own)
        return tidied(best, k)

    def _summed(
        self,
        found: Found,
        vector_D: FloatArray,
        k: int,
        selection: Selection,
        gone_N: Mask,
    ) -> Found:
        """Of one query that has brought something to mind: the best by the sum, best first."""
        assert selection.recalled is not None
        deep = max(k, DEEP)
        scores_K, items_K = found.scores_BK[0, :deep], found.items_BK[0, :deep]
        of_bundle = np.searchsorted(selection.recalled.rows_J, len(self.items_ND))
        rows_J, added_J = (each[:of_bundle] for each in selection.recalled)
        if not len(rows_J):
            return found
        at_K = np.minimum(np.searchsorted(rows_J, items_K), len(rows_J) - 1)
        known_K = rows_J[at_K] == items_K
        sums_K = scores_K + np.where(known_K, added_J[at_K], np.float32(0))
        if len(items_K) == deep and items_K[-1] >= 0:  # else all that may be found is found
            lifted_J = added_J >= np.partition(sums_K, -k)[-k] - scores_K[-1]
            lifted_J[at_K[known_K]] = False
            lifted = Recalled(rows_J[lifted_J], added_J[lifted_J])
            rest = _allowed(lifted, selection, gone_N)
            items_K = np.concatenate([items_K, rest.rows_J])
            sums_K = np.concatenate([sums_K, self._scores(vector_D, rest)])
        order = np.argsort(-sums_K, kind="stable")
        return Found(sums_K[order][None], items_K[order][None])

    def _scores(self, vector_D: FloatArray, recalled: Recalled) -> FloatArray:
        """(J,): the model's, in place, and the memory's."""
        scores_J = np.empty(len(recalled.rows_J), np.float32)
        at = faiss.swig_ptr
        faiss.fvec_inner_products_by_idx(  # type: ignore[attr-defined]
            at(scores_J), at(np.ascontiguousarray(vector_D)), at(self.items_ND),
            at(recalled.rows_J), self.items_ND.shape[1], 1, len(scores_J),
        )  # fmt: skip
        scores_J += recalled.scores_J
        return scores_J


def deeper(k: Sequence[int], selections: Sequence[Selection]) -> Sequence[int]:
    """How many the model alone has to find."""
    pairs = zip(k, selections, strict=True)
    return [wanted if each.recalled is None else max(wanted, DEEP) for wanted, each in pairs]


def _allowed(recalled: Recalled, selection: Selection, gone_N: Mask) -> Recalled:
    """What of it the query may find."""
    rows_J, scores_J = recalled
    kept_J = ~gone_N[rows_J]
    if selection.allowed is not None:
        kept_J &= selection.allowed.base.holds(rows_J)
    kept_J[places(rows_J, selection.hidden)] = False
    return Recalled(rows_J[kept_J], scores_J[kept_J])
