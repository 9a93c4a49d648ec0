"""The INT8 variant of the exported graph, kept only where it costs next to no accuracy.

Weights and what they are multiplied with are integers, by scales that are fixed here, from
histories: scales taken from what just comes make an answer depend on its neighbours in the batch.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

from training.data.histories import EvaluationSet
from training.evaluate.ranking import Task, ndcg
from training.export.onnx_ranker import Feeds, OnnxRanker, batches, same_top

WORST_COST = 0.005  # relative, of NDCG@10
_CALIBRATED_ON = 512  # histories
_COMPARED = 1000  # histories


class Int8(NamedTuple):
    """NDCG@10 of the same model, the same histories and the same item vectors; and how many of so
    many histories get another top-10 among others than alone.
    """

    fp32: float
    int8: float
    histories: int
    differing: int

    @property
    def cost(self) -> float:
        """What INT8 loses of NDCG@10, relative; below zero where it gains."""
        return (self.fp32 - self.int8) / max(self.fp32, 1e-9)

    @property
    def kept(self) -> bool:
        """Whether the bundle offers it."""
        return self.cost <= WORST_COST and not self.differing


def write_int8(fp32: OnnxRanker, target: Path, held_out: EvaluationSet) -> None:
    """Quantize products with weights: scales of weights by channel, of activations by histories.

    Those histories end one item before ``held_out``'s. Of the weights' eight bits seven are used:
    without VNNI, pairs of products are summed in 16 bits, and what overflows is another answer.
    """
    graph = onnx.load(fp32.graph)
    weights = {weight.name for weight in graph.graph.initializer}
    products = [node for node in graph.graph.node if node.op_type == "MatMul"]
    before = held_out._replace(length=np.maximum(held_out.length - 1, 1)).sample(_CALIBRATED_ON, 0)
    logging.disable(logging.WARNING)  # it advises a pre-processing that changes nothing here
    try:
        quantize_static(
            fp32.graph,
            target,
            _Histories(fp32.feeds(batch) for batch in batches(before, fp32.max_history)),
            nodes_to_quantize=[node.name for node in products if node.input[1] in weights],
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            extra_options={"OpTypesToExcludeOutputQuantization": ["MatMul"]},
        )
    finally:
        logging.disable(logging.NOTSET)


def compare(fp32: OnnxRanker, int8: OnnxRanker, held_out: EvaluationSet) -> Int8:
    """NDCG@10 of both, full ranking, seen items left out; INT8 alone and in mixed batches."""
    task = Task(held_out, len(fp32.vectors.scored_ND), filter_seen=True)
    fp32_ndcg, int8_ndcg = (ndcg(ranker, task) for ranker in (fp32, int8))
    some = held_out.sample(_COMPARED, 0)
    return Int8(fp32_ndcg, int8_ndcg, len(some.target), differing(int8, some))


def differing(ranker: OnnxRanker, held_out: EvaluationSet) -> int:
    """Histories that get another top-10, or another order, in a batch of mixed lengths than alone.

    Items whose scores tie within rounding may swap.
    """
    together = [ranker.score_batch(batch) for batch in batches(held_out, ranker.max_history)]
    alone = [ranker.score_batch(batch) for batch in batches(held_out, ranker.max_history, 1)]
    return len(held_out.target) - same_top(np.concatenate(alone), np.concatenate(together))


class _Histories(CalibrationDataReader):  # type: ignore[misc]
    """What scales of activations are taken from, a batch at a time."""

    def __init__(self, feeds: Iterator[Feeds]) -> None:
        self.feeds = feeds

    def get_next(self) -> Feeds | None:
        """The next batch, or None."""
        return next(self.feeds, None)
