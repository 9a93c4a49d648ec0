"""Exact retrieval as one graph of ONNX Runtime: a matrix product, and the best of every row.

The item vectors are a constant of the graph, so that the runtime lays them out once for its matrix
product: 2 to 3 times faster than FAISS's flat index for two queries and more, as fast for one
(docs/benchmarks/serving-log.md). The few rows that a query hides get -inf where their scores were,
in place; for what is gone or not allowed, -inf is what the product is added to. All queries share
the product; those that want many items have the best of theirs found apart, for that takes longer
the more are wanted, and would for all.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from models.contract.types import FloatArray
from service.retrieval.retriever import Found, nothing_found, tidied
from service.retrieval.rows import RowSet
from service.retrieval.selection import Selection, hidden_pairs
from service.runtime import Device, elsewhere, open_session

MOST_BYTES = 2**30  # of vectors, of which the runtime keeps a copy in its own order
_VECTORS = "item_vectors"
OUTPUTS = ("best", "items", "best_of_many", "items_of_many")
# Of 100,000 scores a row, 32 rows: the best 128 take 5% longer than the best 10, 256 take 10%, 500
# a third.
_MANY = 128
_ALL_THERE = np.zeros(1, np.float32)  # for all items
_FEW = 50  # a fiftieth of the items: scored one by one, each costs as much as 50 in the product

Feeds = Mapping[str, NDArray[Any]]


class MatrixRetriever:
    """Exact search over all item vectors, up to ``MOST_BYTES`` of them."""

    kind = "exact"

    def __init__(self, item_vectors_ND: FloatArray, threads: int) -> None:
        self.items = len(item_vectors_ND)
        self.few = self.items // _FEW
        self.vectors_ND = np.ascontiguousarray(item_vectors_ND, np.float32)
        self.session = open_search(self.vectors_ND, "cpu", threads)

    def search(
        self,
        vectors_BD: FloatArray,
        k: Sequence[int],
        selections: Sequence[Selection],
        gone: RowSet | None = None,
    ) -> Found:
        """The best ``k[b]`` items of query b in ``selections[b]``, none of ``gone``."""
        feeds = search_feeds(k, selections, self.items)
        added = {"added": added_scores(selections, gone, self.items)}
        best = self.session.run(OUTPUTS, {"user_vector": vectors_BD, **added, **feeds})
        return put_together(best, feeds, k)


def search_feeds(k: Sequence[int], selections: Sequence[Selection], items: int) -> Feeds:
    """What the graph wants beside the vectors and what is added to scores. Without a query that
    wants many, the first is one that wants its best: the graph always looks for some.
    """
    wanted_B = np.minimum(np.array(k), items)
    many = np.flatnonzero(wanted_B > _MANY)
    few_k = wanted_B[wanted_B <= _MANY].max(initial=1)
    return {
        "k": np.array([few_k]),
        "many": many if len(many) else np.zeros(1, np.int64),
        "many_k": np.array([wanted_B[many].max(initial=1)]),
        "hidden": hidden_pairs(selections),
    }


def added_scores(
    selections: Sequence[Selection], gone: RowSet | None, items: int
) -> NDArray[np.float32]:
    """-inf for what must not be found, 0 for the rest: one number for all, (N,) where rows are gone
    for all queries, (B, N) where one of them may find certain rows only.
    """
    plain = _ALL_THERE if gone is None else gone.nothing_N
    if all(selection.allowed is None for selection in selections):
        return plain
    added_BN = np.empty((len(selections), items), np.float32)
    for added_N, selection in zip(added_BN, selections, strict=True):
        added_N[:] = plain
        if selection.allowed is not None:
            np.add(added_N, selection.allowed.base.others.nothing_N, out=added_N)
    return added_BN


def put_together(best: Sequence[NDArray[np.generic]], feeds: Feeds, k: Sequence[int]) -> Found:
    """What the graph found, in the order of ``OUTPUTS``, of those that want few and many."""
    few, of_many = Found(*best[:2]), Found(*best[2:])  # type: ignore[arg-type]
    if feeds["many_k"][0] == 1:
        return tidied(few, k)
    found = nothing_found(len(k), int(max(feeds["k"][0], feeds["many_k"][0])))
    found.put(range(len(k)), few)
    found.put(feeds["many"].tolist(), of_many)
    return tidied(found, k)


def open_search(item_vectors_ND: FloatArray, device: Device, threads: int) -> Any:
    """A session of the search graph over these (N, D), contiguous, which outlive it: it reads them
    where they lie. A graph that holds them is copied three times.
    """
    graph = search_graph(*item_vectors_ND.shape).SerializeToString()
    return open_session(graph, device, threads, {_VECTORS: item_vectors_ND})


def search_graph(items: int, width: int) -> ModelProto:
    """user_vector (B, D), added (1,), (N,) or (B, N), k (1,), many (M,) queries, many_k (1,) and
    hidden (J, 2) pairs of query and item -> the k best of all queries and the many_k best of many:
    scores and items, best first. ``added`` is, to every score before. The item vectors (N, D) are
    named, and not in it.
    """
    graph = helper.make_graph(
        _nodes(),
        "search",
        inputs=[
            helper.make_tensor_value_info("user_vector", TensorProto.FLOAT, ["batch", width]),
            helper.make_tensor_value_info("added", TensorProto.FLOAT, None),
            helper.make_tensor_value_info("k", TensorProto.INT64, [1]),
            helper.make_tensor_value_info("many", TensorProto.INT64, ["queries"]),
            helper.make_tensor_value_info("many_k", TensorProto.INT64, [1]),
            helper.make_tensor_value_info("hidden", TensorProto.INT64, ["pairs", 2]),
        ],
        outputs=[
            helper.make_tensor_value_info(name, kind, [rows, k])
            for name, kind, rows, k in zip(
                OUTPUTS,
                (TensorProto.FLOAT, TensorProto.INT64) * 2,
                ("batch", "batch", "queries", "queries"),
                ("k", "k", "many_k", "many_k"),
                strict=True,
            )
        ],
        initializer=[
            elsewhere(_VECTORS, np.float32, items, width),
            numpy_helper.from_array(np.array([-np.inf], np.float32), "nothing"),
        ],
    )
    opset = helper.make_opsetid("", 18)
    return helper.make_model(graph, opset_imports=[opset], ir_version=9)


def _nodes() -> list[NodeProto]:
    make = helper.make_node
    return [
        make("Gemm", ["user_vector", _VECTORS, "added"], ["every_score"], transB=1),
        make("Shape", ["hidden"], ["pairs"], start=0, end=1),
        make("Expand", ["nothing", "pairs"], ["nothings"]),
        make("ScatterND", ["every_score", "hidden", "nothings"], ["scores"]),
        make("TopK", ["scores", "k"], ["best", "items"], axis=1),
        make("Gather", ["scores", "many"], ["scores_of_many"], axis=0),
        make("TopK", ["scores_of_many", "many_k"], ["best_of_many", "items_of_many"], axis=1),
    ]
