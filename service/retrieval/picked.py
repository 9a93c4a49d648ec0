"""The best of some rows, each scored by itself: what few a query may find."""

from collections.abc import Sequence

import faiss
import numpy as np

from models.contract.types import FloatArray
from service.retrieval.retriever import Found, nothing_found
from service.retrieval.rows import Rows


def best_of_rows(vectors_BD: FloatArray, items_ND: FloatArray, rows_BR: Rows, k: int) -> Found:
    """The ``k`` best of each query's rows, those of -1 left out; all arrays are contiguous.

    In place, for gathered rows and BLAS threads would cost ten times it.
    """
    (queries, width), count = vectors_BD.shape, rows_BR.shape[1]
    found = Found(np.empty((queries, k), np.float32), np.empty((queries, k), np.int64))
    at = faiss.swig_ptr
    faiss.knn_inner_products_by_idx(  # type: ignore[attr-defined]
        at(vectors_BD), at(items_ND), at(rows_BR),
        width, queries, len(items_ND), count, k,
        at(found.scores_BK), at(found.items_BK), count,
    )  # fmt: skip
    return found


def best_of_each(
    vectors_BD: FloatArray, items_ND: FloatArray, rows: Sequence[Rows], k: Sequence[int]
) -> Found:
    """The best ``k[b]`` of ``rows[b]``, one query at a time: each may have as many as it likes."""
    found = nothing_found(len(k), max(k))
    for query, (row_J, most) in enumerate(zip(rows, k, strict=True)):
        if len(row_J):
            asked = np.ascontiguousarray(vectors_BD[query : query + 1])
            best = best_of_rows(asked, items_ND, row_J[None], min(most, len(row_J)))
            found.put([query], best)
    return found
