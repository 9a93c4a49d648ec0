"""What a history brings to mind, among what was found: the memory's scores added to the model's.

Exact, whatever found the rest: no score of the memory is negative, so whoever is among the best of
the sums and is not remembered is among the best of the model alone. And whoever is remembered, but
not among the DEEP best of the model, is scored by itself only if the memory's part could lift it
from below the last of those to the k-th best: few are.
"""

from collections.abc import Sequence
from typing import NamedTuple

import faiss
import numpy as np

from models.contract.ragged import nth_of_each
from models.contract.types import FloatArray
from service.retrieval.live import Live
from service.retrieval.retriever import Found, tidied
from service.retrieval.rows import Mask, Rows, places
from service.retrieval.selection import Selection

DEEP = 100  # of so many, the k best of the sums are looked for
_QUERY = 32  # bits: a query and a row are one number


class _Told(NamedTuple):
    """What all queries have brought to mind, one after another: query and row, ascending, and what
    is added to the score.
    """

    keys_F: Rows
    added_F: FloatArray

    @property
    def queries_F(self) -> Rows:
        """Whose it is."""
        return self.keys_F >> _QUERY

    @property
    def rows_F(self) -> Rows:
        """What it is."""
        return self.keys_F & (1 << _QUERY) - 1


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
        """The best ``k[b]`` of each query's sums, of ``deeper(k)`` found by the model alone.

        Of all queries in one call each: a thread that has looked at many numbers waits for the
        interpreter.
        """
        told, wanted = _told(selections, len(self.items_ND)), min(max(k), found.items_BK.shape[1])
        if len(told.keys_F):
            deep = deeper(k, selections)
            found = tidied(found, deep)
            sums, lifted = _summed(found, told, np.array(k), np.array(deep))
            found = self._with(sums, vectors_BD, _allowed(lifted, selections, live.gone_N))
        return tidied(Found(found.scores_BK[:, :wanted], found.items_BK[:, :wanted]), k)

    def _with(self, sums: Found, vectors_BD: FloatArray, lifted: _Told) -> Found:
        """Best first, those that were lifted among them."""
        queries_F = lifted.queries_F
        counts_B = np.bincount(queries_F, minlength=len(vectors_BD))
        place_F = nth_of_each(counts_B)
        rows_BL = np.full((len(vectors_BD), counts_B.max()), -1, np.int64)
        rows_BL[queries_F, place_F] = lifted.rows_F
        scores_BL = self._scores(vectors_BD, rows_BL)
        scores_BL[queries_F, place_F] += lifted.added_F
        items_BK = np.concatenate([sums.items_BK, rows_BL], axis=1)
        sums_BK = np.concatenate([sums.scores_BK, scores_BL], axis=1)
        order_BK = np.argsort(-sums_BK, axis=1, kind="stable")
        sums_BK = np.take_along_axis(sums_BK, order_BK, axis=1)
        return Found(sums_BK, np.take_along_axis(items_BK, order_BK, axis=1))

    def _scores(self, vectors_BD: FloatArray, rows_BL: Rows) -> FloatArray:
        """(B, L): the model's, in place; -inf for rows of -1."""
        faiss.omp_set_num_threads(self.threads)
        scores_BL, at = np.empty(rows_BL.shape, np.float32), faiss.swig_ptr
        faiss.fvec_inner_products_by_idx(  # type: ignore[attr-defined]
            at(scores_BL), at(np.ascontiguousarray(vectors_BD)), at(self.items_ND),
            at(rows_BL), self.items_ND.shape[1], *rows_BL.shape,
        )  # fmt: skip
        return scores_BL


def deeper(k: Sequence[int], selections: Sequence[Selection]) -> Sequence[int]:
    """How many the model alone has to find."""
    pairs = zip(k, selections, strict=True)
    return [wanted if each.recalled is None else max(wanted, DEEP) for wanted, each in pairs]


def _told(selections: Sequence[Selection], items: int) -> _Told:
    """Of the bundle's items, of which there are so many."""
    keys, added = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
    for query, selection in enumerate(selections):
        if selection.recalled is not None:
            rows_J, scores_J = selection.recalled
            of_bundle = np.searchsorted(rows_J, items)
            keys.append(rows_J[:of_bundle] + (query << _QUERY))
            added.append(scores_J[:of_bundle])
    return _Told(np.concatenate(keys), np.concatenate(added))


def _summed(found: Found, told: _Told, k_B: Rows, deep_B: Rows) -> tuple[Found, _Told]:
    """What was found, with what is told of it added; and what else is told that may be better."""
    keys_F, added_F = told
    (scores_BK, items_BK), queries_B = found, np.arange(len(k_B))
    keys_BK = np.where(items_BK < 0, -1, items_BK + (queries_B[:, None] << _QUERY))
    at_BK = np.minimum(np.searchsorted(keys_F, keys_BK), len(keys_F) - 1)
    known_BK = keys_F[at_BK] == keys_BK
    sums_BK = scores_BK + np.where(known_BK, added_F[at_BK], np.float32(0))
    # Below the last that was found; where fewer were than were asked for, all that may be are.
    last_B = np.minimum(deep_B, items_BK.shape[1]) - 1
    more_B = (last_B == deep_B - 1) & (items_BK[queries_B, last_B] >= 0)
    kth_B = -np.sort(-sums_BK, axis=1)[queries_B, np.minimum(k_B - 1, last_B)]
    needed_B = np.full(len(k_B), np.inf, np.float32)
    needed_B[more_B] = kth_B[more_B] - scores_BK[queries_B, last_B][more_B]
    lifted_F = added_F >= needed_B[told.queries_F]
    lifted_F[at_BK[known_BK]] = False
    return Found(sums_BK, items_BK), _Told(keys_F[lifted_F], added_F[lifted_F])


def _allowed(told: _Told, selections: Sequence[Selection], gone_N: Mask) -> _Told:
    """What of it the queries may find."""
    keys_F, rows_F = told.keys_F, told.rows_F
    kept_F = ~gone_N[rows_F]
    bounds = np.searchsorted(keys_F, np.arange(len(selections) + 1) << _QUERY).tolist()
    for query, (hidden, allowed, _) in enumerate(selections):
        own = slice(bounds[query], bounds[query + 1])
        if own.start < own.stop:
            if allowed is not None:
                kept_F[own] &= allowed.base.holds(rows_F[own])
            kept_F[own][places(rows_F[own], hidden)] = False
    return _Told(keys_F[kept_F], told.added_F[kept_F])
