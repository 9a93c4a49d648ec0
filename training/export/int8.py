"""The INT8 variant of the exported graph, kept only where it costs next to no accuracy."""

import logging
from pathlib import Path
from typing import NamedTuple

from training.data.histories import EvaluationSet
from training.evaluate.ranking import ndcg
from training.export.onnx_ranker import OnnxRanker

WORST_COST = 0.005  # relative, of NDCG@10


class Int8(NamedTuple):
    """NDCG@10 of the same model, the same histories and the same item vectors."""

    fp32: float
    int8: float

    @property
    def cost(self) -> float:
        """What INT8 loses of NDCG@10, relative; below zero where it gains."""
        return (self.fp32 - self.int8) / max(self.fp32, 1e-9)

    @property
    def kept(self) -> bool:
        """Whether the bundle offers it."""
        return self.cost <= WORST_COST


def write_int8(source: Path, target: Path) -> None:
    """Quantize the weights of matrix products to INT8, activations as they come (dynamic)."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logging.disable(logging.WARNING)  # it advises a pre-processing that changes nothing here
    try:
        quantize_dynamic(
            source,
            target,
            op_types_to_quantize=["MatMul"],
            weight_type=QuantType.QInt8,
            per_channel=True,
        )
    finally:
        logging.disable(logging.NOTSET)


def compare(fp32: OnnxRanker, int8: OnnxRanker, held_out: EvaluationSet) -> Int8:
    """NDCG@10 of both, full ranking, seen items left out."""
    size = len(fp32.vectors.scored_ND)
    return Int8(*(ndcg(ranker, held_out, size, True) for ranker in (fp32, int8)))
