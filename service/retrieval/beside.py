"""Live rows among what was found of the bundle's: all scored exactly, the best of both."""

from collections.abc import Sequence

import numpy as np
from onnx import TensorProto, helper

from models.contract.memory import Recalled
from models.contract.ragged import nth_of_each
from models.contract.types import FloatArray
from service.retrieval.live import Live
from service.retrieval.retriever import Found, nothing_found, tidied
from service.retrieval.rows import Mask, Rows
from service.retrieval.selection import Selection
from service.runtime import open_session


class Beside:
    """Scores live rows by ONNX Runtime: NumPy's matrix product takes every core there is."""

    def __init__(self, width: int, threads: int) -> None:
        self.session = open_session(_product(width), "cpu", threads)

    def add(
        self,
        found: Found,
        vectors_BD: FloatArray,
        k: Sequence[int],
        selections: Sequence[Selection],
        live: Live,
    ) -> Found:
        """``found``, of the bundle alone, and those live rows that are better than its last."""
        items, rows = len(live.gone_N), len(live.gone_M)
        scores_BM = self._scores(vectors_BD, selections, live)
        better = np.flatnonzero(_better(found, scores_BM, k))
        queries, numbers = np.divmod(better, rows)
        counts = np.bincount(queries, minlength=len(k))
        places = nth_of_each(counts)
        width, most = found.items_BK.shape[1], min(max(k), items + rows)
        both = nothing_found(len(k), max(most, width + counts.max()))
        both.put(range(len(k)), found)
        both.scores_BK[queries, width + places] = scores_BM.ravel()[better]
        both.items_BK[queries, width + places] = items + numbers
        order_BK = np.argsort(-both.scores_BK, axis=1, kind="stable")[:, :most]
        scores_BK = np.take_along_axis(both.scores_BK, order_BK, axis=1)
        return tidied(Found(scores_BK, np.take_along_axis(both.items_BK, order_BK, axis=1)), k)

    def _scores(
        self, vectors_BD: FloatArray, selections: Sequence[Selection], live: Live
    ) -> FloatArray:
        """(B, M): -inf where a query must not find the row."""
        gone = np.where(live.gone_M, np.float32(-np.inf), np.float32(0))
        asked = {"user_vector": vectors_BD, "live_vectors": live.vectors_MD, "gone": gone}
        scores_BM: FloatArray = self.session.run(["scores"], asked)[0]
        for scores_M, (hidden, allowed, recalled) in zip(scores_BM, selections, strict=True):
            if recalled is not None:
                _add(recalled, scores_M, len(live.gone_N))
            scores_M[_of_live(hidden, live)] = -np.inf
            if allowed is not None:
                rows = _of_live(allowed.live, live)
                kept_J = scores_M[rows]
                scores_M[:] = -np.inf
                scores_M[rows] = kept_J
        return scores_BM


def _product(width: int) -> bytes:
    value = helper.make_tensor_value_info
    inputs = [
        value("user_vector", TensorProto.FLOAT, ["batch", width]),
        value("live_vectors", TensorProto.FLOAT, ["rows", width]),
        value("gone", TensorProto.FLOAT, ["rows"]),
    ]
    node = helper.make_node("Gemm", [each.name for each in inputs], ["scores"], transB=1)
    scores = value("scores", TensorProto.FLOAT, ["batch", "rows"])
    graph = helper.make_graph([node], "beside", inputs, [scores])
    opset = helper.make_opsetid("", 18)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=9)
    return bytes(model.SerializeToString())


def _add(recalled: Recalled, scores_M: FloatArray, items: int) -> None:
    """What the memory adds to live rows; a later search may know of more."""
    first, last = np.searchsorted(recalled.rows_J, [items, items + len(scores_M)])
    scores_M[recalled.rows_J[first:last] - items] += recalled.scores_J[first:last]


def _of_live(rows: Rows, live: Live) -> Rows:
    """Numbers of those that are live rows, by now: a later search may know of more."""
    numbers = rows - len(live.gone_N)
    return numbers[(numbers >= 0) & (numbers < len(live.gone_M))]


def _better(found: Found, scores_BM: FloatArray, k: Sequence[int]) -> Mask:
    """(B, M): what is better than the k-th best of the bundle; where that is more than k, the best
    k, and what is as good as the last of them.
    """
    k_B, width = np.array(k), found.items_BK.shape[1]
    last_B = found.scores_BK[np.arange(len(k_B)), np.minimum(k_B, width) - 1]
    better_BM: Mask = scores_BM > np.where(k_B <= width, last_B, np.float32(-np.inf))[:, None]
    for query in np.flatnonzero(better_BM.sum(axis=1) > k_B):
        kth = np.partition(scores_BM[query], -k_B[query])[-k_B[query]]
        better_BM[query] = scores_BM[query] >= kth
    return better_BM
