"""Live rows among what was found of the bundle's: scored exactly, the best of both."""

from collections.abc import Sequence

import numpy as np

from models.contract.types import FloatArray
from service.retrieval.live import Live
from service.retrieval.retriever import Found, nothing_found, tidied
from service.retrieval.rows import Rows
from service.retrieval.selection import Selection


def with_live(
    found: Found,
    vectors_BD: FloatArray,
    k: Sequence[int],
    selections: Sequence[Selection],
    live: Live,
) -> Found:
    """``found``, of the bundle alone, and those live rows that are better than its last."""
    items = len(live.gone_N)
    most = min(max(k), items + len(live.gone_M))
    scores_BM = _scores(vectors_BD, selections, live)
    queries, rows = np.nonzero(scores_BM > _to_beat(found, scores_BM, k)[:, None])
    counts = np.bincount(queries, minlength=len(k))
    places = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    width = found.items_BK.shape[1]
    both = nothing_found(len(k), max(most, width + counts.max()))
    both.put(range(len(k)), found)
    both.scores_BK[queries, width + places] = scores_BM[queries, rows]
    both.items_BK[queries, width + places] = items + rows
    order_BK = np.argsort(-both.scores_BK, axis=1, kind="stable")[:, :most]
    scores_BK = np.take_along_axis(both.scores_BK, order_BK, axis=1)
    return tidied(Found(scores_BK, np.take_along_axis(both.items_BK, order_BK, axis=1)), k)


def _scores(vectors_BD: FloatArray, selections: Sequence[Selection], live: Live) -> FloatArray:
    """(B, M): -inf where a query must not find the row."""
    scores_BM: FloatArray = vectors_BD @ live.vectors_MD.T
    scores_BM[:, live.gone_M] = -np.inf
    for scores_M, (hidden, allowed) in zip(scores_BM, selections, strict=True):
        scores_M[_of_live(hidden, live)] = -np.inf
        if allowed is not None:
            rows = _of_live(allowed.live, live)
            kept_J = scores_M[rows]
            scores_M[:] = -np.inf
            scores_M[rows] = kept_J
    return scores_BM


def _of_live(rows: Rows, live: Live) -> Rows:
    """Numbers of those that are live rows, by now: a later search may know of more."""
    numbers = rows - len(live.gone_N)
    return numbers[(numbers >= 0) & (numbers < len(live.gone_M))]


def _to_beat(found: Found, scores_BM: FloatArray, k: Sequence[int]) -> FloatArray:
    """(B,): the score of the k-th best of the bundle; where there are fewer, what k live rows, and
    those that are as good as the last of them, are above.
    """
    k_B, width = np.array(k), found.items_BK.shape[1]
    last_B = found.scores_BK[np.arange(len(k_B)), np.minimum(k_B, width) - 1]
    beat_B: FloatArray = np.where(k_B <= width, last_B, np.float32(-np.inf))
    for query in np.flatnonzero((beat_B == -np.inf) & (k_B < scores_BM.shape[1])):
        kth = np.partition(scores_BM[query], -k_B[query])[-k_B[query]]
        beat_B[query] = np.nextafter(kth, np.float32(-np.inf))
    return beat_B
