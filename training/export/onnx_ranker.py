"""The exported graph as a Ranker, so that what is served can be evaluated."""

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from models.contract.config import SequenceConfig
from models.contract.item_vectors import ItemVectors
from models.contract.manifest import onnx_inputs
from models.contract.types import CodeArray, FloatArray
from training.data.batches import Batch, Windows, gather_latest


class OnnxRanker:
    """An exported graph as a Ranker: the latest ``max_history`` items of each window."""

    def __init__(
        self, graph: Path, config: SequenceConfig, codes_NS: CodeArray, vectors: ItemVectors
    ) -> None:
        providers = ["CPUExecutionProvider"]
        self.session = onnxruntime.InferenceSession(graph, providers=providers)
        self.names = [spec.name for spec in onnx_inputs(config)]
        self.max_history = config.max_history
        self.codes_NS = codes_NS
        self.vectors = vectors

    def score(self, items: NDArray[np.int32], windows: Windows) -> FloatArray:
        """Scores (B, N)."""
        return self.score_batch(gather_latest(items, windows, self.max_history))

    def score_batch(self, batch: Batch) -> FloatArray:
        """Scores (B, N) of a batch that is no longer than ``max_history``."""
        items_BT = batch.items_BT.numpy()
        read_BTD = self.vectors.read(items_BT)
        feeds = (self.codes_NS[items_BT], read_BTD, batch.length_B.numpy())
        users_BD: FloatArray = self.session.run(None, dict(zip(self.names, feeds, strict=True)))[0]
        return users_BD @ self.vectors.scored_ND.T
