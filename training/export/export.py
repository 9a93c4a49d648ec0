"""Stage export: the sequence model as ONNX and torch weights, tables, model card, manifest.

The manifest is written last, and only after ONNX Runtime and torch agreed on real histories.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from models.contract import bundle
from models.contract.bundle import FILES, CatalogueItem
from models.contract.config import SequenceConfig
from models.contract.item_vectors import ItemVectors, read_columns
from models.contract.manifest import onnx_inputs, onnx_outputs
from models.contract.memory import Memory
from models.contract.semantic_id import SemanticIdTable
from models.nets.rows import code_tensor
from models.nets.sequence import HistoryEncoder, SequenceModel
from training.data.histories import EvaluationSet
from training.errors import UserError
from training.evaluate.ranking import Task
from training.export.catalogue_map import draw_map
from training.export.graph import BATCH, Border, write_graph
from training.export.index import write_index
from training.export.int8 import Int8, compare, write_int8
from training.export.model_card import Parity, model_card
from training.export.onnx_ranker import TOP, OnnxRanker, batches, same_top
from training.export.score_deciles import score_deciles
from training.fit.remember import with_memory

SCORE_TOLERANCE = 1e-4
PARITY_HISTORIES = 500


def export_bundle(
    directory: Path,
    model: SequenceModel,
    table: SemanticIdTable,
    catalogue: tuple[CatalogueItem, ...],
    held_out: EvaluationSet,
    fields: Mapping[str, Any],
    index_from: int,
    memory: Memory | None = None,
    more: Callable[[str], None] = lambda created_at: None,
) -> Parity:
    """Write a whole bundle. ``fields``: name, split, metrics and health of the manifest.

    index_from: a catalogue of more items gets an index to be searched by. more: writes what else
    goes into the bundle, last but for the manifest, and is told when the bundle is made.

    Raises UserError, leaving no manifest, where the runtimes disagree.
    """
    model = model.eval().cpu()
    encoder = HistoryEncoder(model)
    write_onnx(encoder, directory / FILES.ONNX)
    save_file(encoder.weights(), directory / FILES.WEIGHTS)
    vectors = item_vectors(model, table)
    bundle.write_tables(directory, catalogue, table, vectors, memory)
    popularity_N = np.array([item.popularity for item in catalogue], np.int64)
    draw_map(vectors.scored_ND, popularity_N).write(directory / FILES.MAP)
    if len(catalogue) > index_from:
        write_index(directory, vectors.scored_ND)
    fp32 = OnnxRanker(directory / FILES.ONNX, model.config, table.codes_NS, vectors)
    parity = check_parity(fp32, model, held_out)
    _must_agree(parity)
    int8 = _offer_int8(directory / FILES.ONNX_INT8, fp32, model.config, held_out)
    card = model_card(fields, parity, int8, len(catalogue))
    (directory / FILES.MODEL_CARD).write_text(card, encoding="utf-8")
    created_at = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    more(created_at)
    only_new = fields.get("recommend", "new") == "new"
    made = {
        "created_at": created_at,
        "score_deciles": score_deciles(
            with_memory(fp32, memory), Task(held_out, len(catalogue), filter_seen=only_new)
        ),
        "architecture": model.config,
        "onnx_inputs": onnx_inputs(model.config),
        "onnx_outputs": onnx_outputs(model.config),
    }
    bundle.write_manifest(directory, {**fields, **made})
    return parity


def _must_agree(parity: Parity) -> None:
    if parity.worst_score > SCORE_TOLERANCE or parity.same_top < parity.histories:
        raise UserError(
            f"ONNX Runtime and torch disagree, so no bundle was written: worst score difference "
            f"{parity.worst_score:.2e} (limit {SCORE_TOLERANCE}), same top-{TOP} on "
            f"{parity.same_top} of {parity.histories} histories"
        )


def _offer_int8(
    graph: Path, fp32: OnnxRanker, config: SequenceConfig, held_out: EvaluationSet
) -> Int8:
    """Write the INT8 graph, and take it away again where it costs too much accuracy."""
    write_int8(fp32, graph, held_out)
    int8 = OnnxRanker(graph, config, fp32.codes_NS, fp32.vectors)
    found = compare(fp32, int8, held_out)
    if not found.kept:
        graph.unlink()
    return found


@torch.inference_mode()
def item_vectors(model: SequenceModel, table: SemanticIdTable) -> ItemVectors:
    """What is scored and what is read of every item, and the parts of every code."""
    codes_NS = code_tensor(table.codes_NS)
    rows_N, width = torch.arange(len(table)), model.config.width
    read_ND = model.read(codes_NS, rows_N).numpy()
    columns = read_columns(model.config)
    read_NW = [read_ND[:, part] for part in columns] or [np.empty((len(table), 0), np.float32)]
    space = model.config.code_space
    nothing = torch.zeros(space.slots, space.codebook_size + 1, width)
    codes = [nothing if (of := tower.code_vectors()) is None else of for tower in model.each()]
    return ItemVectors(
        scored_ND=model.represent(codes_NS, rows_N).numpy(),
        read_NW=np.ascontiguousarray(np.concatenate(read_NW, axis=1)),
        code_SKD=torch.cat(codes, dim=-1).numpy(),
        columns=columns,
    )


def write_onnx(encoder: HistoryEncoder, path: Path) -> None:
    """Batch and length are dynamic."""
    config = encoder.model.config
    length = torch.export.Dim("length", min=1, max=max(2, config.max_history))
    example = (
        torch.zeros(2, 2, config.code_space.slots, dtype=torch.uint16),
        torch.zeros(2, 2, config.vector_size),
        torch.ones(2, dtype=torch.int64),
    )
    border = Border(
        [spec.name for spec in onnx_inputs(config)],
        [spec.name for spec in onnx_outputs(config)],
        ({0: BATCH, 1: length}, {0: BATCH, 1: length}, {0: BATCH}),
    )
    write_graph(encoder, example, border, path)


@torch.inference_mode()
def check_parity(onnx: OnnxRanker, model: SequenceModel, held_out: EvaluationSet) -> Parity:
    """Score the same real histories with both runtimes, one batch of mixed lengths at a time.

    torch runs the whole model, tables and all: that what is served of it adds up is proved, too.
    """
    worst, same, histories = 0.0, 0, 0
    for batch in batches(held_out, model.config.max_history, most=PARITY_HISTORIES):
        codes_BTS = torch.from_numpy(onnx.codes_NS[batch.items_BT.numpy()])
        torch_BN = (
            model(codes_BTS, batch.items_BT, batch.length_B).numpy() @ onnx.vectors.scored_ND.T
        )
        onnx_BN = onnx.score_batch(batch)
        worst = max(worst, float(np.abs(torch_BN - onnx_BN).max()))
        same += same_top(torch_BN, onnx_BN)
        histories += len(torch_BN)
    return Parity(histories, worst, same)
