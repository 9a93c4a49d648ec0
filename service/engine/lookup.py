"""Rows of items -> what the model's graph reads of them, as a graph on the device that has both.

The bundle's tables are its constants. Live items come with each batch that names some.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from models.contract.bundle import Bundle
from models.contract.item_vectors import ItemVectors
from service.runtime import Device, elsewhere, open_session

INPUTS = ("rows", "live_codes", "live_vectors")
OUTPUTS = ("codes", "vectors")
_TABLES = ("code_table", "scored_table", "read_table")


def open_lookup(bundle: Bundle, device: Device, threads: int) -> Any:
    """A session of ``lookup_graph`` over a bundle's tables."""
    vectors = bundle.vectors
    tables = bundle.semantic_ids.codes_NS, vectors.scored_ND, vectors.read_NW
    arrays = dict(zip(_TABLES, map(np.ascontiguousarray, tables), strict=True))
    if not vectors.columns:
        del arrays["read_table"]
    return open_session(lookup_graph(vectors, arrays).SerializeToString(), device, threads, arrays)


def lookup_graph(vectors: ItemVectors, tables: dict[str, NDArray[Any]]) -> ModelProto:
    """rows (B, T), live_codes (L, S) and live_vectors (L, D) of at least one -> codes (B, T, S) and
    vectors (B, T, D). Row N + l of N in the tables is the live item l.
    """
    size, width = vectors.scored_ND.shape
    slots = tables["code_table"].shape[1]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [*_places(), *_codes(), *_vectors(vectors)],
        "lookup",
        inputs=[
            value("rows", TensorProto.INT64, ["batch", "length"]),
            value("live_codes", TensorProto.INT32, ["live", slots]),
            value("live_vectors", TensorProto.FLOAT, ["live", width]),
        ],
        outputs=[
            value("codes", TensorProto.UINT16, ["batch", "length", slots]),
            value("vectors", TensorProto.FLOAT, ["batch", "length", width]),
        ],
        initializer=[
            *(elsewhere(name, table.dtype, *table.shape) for name, table in tables.items()),
            numpy_helper.from_array(np.array(size), "size"),
            numpy_helper.from_array(np.array(0), "zero"),
            numpy_helper.from_array(np.array([-1]), "last"),
            numpy_helper.from_array(_order(vectors), "order"),
        ],
    )
    opset = helper.make_opsetid("", 18)
    return helper.make_model(graph, opset_imports=[opset], ir_version=9)


def _places() -> list[NodeProto]:
    """Which rows are live; where each is in the tables, and among the live ones, or 0."""
    make = helper.make_node
    return [
        make("GreaterOrEqual", ["rows", "size"], ["is_live"]),
        make("Unsqueeze", ["is_live", "last"], ["whose"]),
        make("Where", ["is_live", "zero", "rows"], ["row"]),
        make("Sub", ["rows", "size"], ["beyond"]),
        make("Where", ["is_live", "beyond", "zero"], ["place"]),
    ]


def _codes() -> list[NodeProto]:
    """Chosen as numbers of 32 bits, for a GPU chooses between none of 16."""
    make = helper.make_node
    return [
        make("Gather", ["code_table", "row"], ["short_codes"]),
        make("Cast", ["short_codes"], ["known_codes"], to=TensorProto.INT32),
        make("Gather", ["live_codes", "place"], ["other_codes"]),
        make("Where", ["whose", "other_codes", "known_codes"], ["either_codes"]),
        make("Cast", ["either_codes"], ["codes"], to=TensorProto.UINT16),
    ]


def _vectors(vectors: ItemVectors) -> list[NodeProto]:
    """``ItemVectors.read``: what is scored, but for the columns that are read otherwise."""
    make = helper.make_node
    return [
        make("Gather", ["scored_table", "row"], ["scored"]),
        *_read(vectors),
        make("Gather", ["live_vectors", "place"], ["other_vectors"]),
        make("Where", ["whose", "other_vectors", "known_vectors"], ["vectors"]),
    ]


def _read(vectors: ItemVectors) -> list[NodeProto]:
    make = helper.make_node
    if not vectors.columns:
        return [make("Identity", ["scored"], ["known_vectors"])]
    return [
        make("Gather", ["read_table", "row"], ["read"]),
        make("Concat", ["scored", "read"], ["both"], axis=-1),
        make("Gather", ["both", "order"], ["known_vectors"], axis=-1),
    ]


def _order(vectors: ItemVectors) -> NDArray[np.int64]:
    """Where each column of what is read lies in what is scored and, after it, what alone is."""
    width = vectors.scored_ND.shape[1]
    order, first = np.arange(width), width
    for columns in vectors.columns:
        order[columns] = np.arange(first, first := first + columns.stop - columns.start)
    return order
