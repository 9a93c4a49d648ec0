"""The exported graph as a Ranker, so that what is served can be evaluated."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from models.contract.bundle import Bundle
from models.contract.config import SequenceConfig
from models.contract.item_vectors import ItemVectors
from models.contract.manifest import onnx_inputs
from models.contract.types import CodeArray, FloatArray
from training.data.batches import Batch, gather_latest
from training.data.histories import EvaluationSet, Windows

TOP = 10
Feeds = dict[str, NDArray[Any]]


class OnnxRanker:
    """An exported graph as a Ranker: the latest ``max_history`` items of each window.

    threads: that it runs on; 0: as many as there are cores.
    """

    def __init__(
        self,
        graph: Path,
        config: SequenceConfig,
        codes_NS: CodeArray,
        vectors: ItemVectors,
        threads: int = 0,
    ) -> None:
        providers, options = ["CPUExecutionProvider"], onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.graph = graph
        self.session = onnxruntime.InferenceSession(graph, options, providers=providers)
        self.names = [spec.name for spec in onnx_inputs(config)]
        self.max_history = config.max_history
        self.codes_NS = codes_NS
        self.vectors = vectors

    @classmethod
    def of(cls, bundle: Bundle, threads: int = 0) -> Self:
        """The one that a bundle holds."""
        config, codes_NS = bundle.manifest.architecture, bundle.semantic_ids.codes_NS
        return cls(bundle.onnx_path, config, codes_NS, bundle.vectors, threads)

    def score(self, items: NDArray[np.int32], windows: Windows) -> FloatArray:
        """Scores (B, N)."""
        return self.score_batch(gather_latest(items, windows, self.max_history))

    def score_batch(self, batch: Batch) -> FloatArray:
        """Scores (B, N) of a batch that is no longer than ``max_history``."""
        return self.encode(batch) @ self.vectors.scored_ND.T

    def encode(self, batch: Batch) -> FloatArray:
        """User vectors (B, D) of the same."""
        users_BD: FloatArray = self.session.run(None, self.feeds(batch))[0]
        return users_BD

    def feeds(self, batch: Batch) -> Feeds:
        """A batch by the names of the graph's inputs."""
        items_BT = batch.items_BT.numpy()
        read_BTD = self.vectors.read(items_BT)
        feeds = (self.codes_NS[items_BT], read_BTD, batch.length_B.numpy())
        return dict(zip(self.names, feeds, strict=True))


def batches(
    held_out: EvaluationSet, longest: int, size: int = 32, most: int | None = None
) -> Iterator[Batch]:
    """The latest ``longest`` items of the first ``most`` histories, ``size`` of mixed lengths at a
    time.
    """
    users = len(held_out.target) if most is None else min(most, len(held_out.target))
    for first in range(0, users, size):
        part = slice(first, min(first + size, users))
        windows = Windows(held_out.start[part], held_out.length[part])
        yield gather_latest(held_out.items, windows, longest)


def same_top(one_BN: FloatArray, other_BN: FloatArray) -> int:
    """Rows whose top items agree, in order; items whose scores tie within rounding may swap."""
    top = min(TOP, one_BN.shape[1])
    one_BK = np.argsort(-one_BN, axis=1, kind="stable")[:, :top]
    other_BK = np.argsort(-other_BN, axis=1, kind="stable")[:, :top]
    gap_BK = np.take_along_axis(one_BN, one_BK, 1) - np.take_along_axis(one_BN, other_BK, 1)
    return int(((one_BK == other_BK) | (np.abs(gap_BK) < 1e-5)).all(axis=1).sum())
