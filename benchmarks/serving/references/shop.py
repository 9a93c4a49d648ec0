"""What every reference needs: a bundle's tables, ids in, items out. NumPy alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.contract import bundle


class Asked(NamedTuple):
    """A request, read."""

    rows_T: NDArray[np.int64]  # the latest items of the history
    hidden_J: NDArray[np.int64]  # all of it
    k: int


class Shop:
    """A bundle's catalogue, semantic IDs and item vectors."""

    def __init__(self, directory: Path) -> None:
        self.graph = str(directory / "model.onnx")
        found = bundle.read(directory)
        self.max_history = found.manifest.architecture.max_history
        self.codes_NS, self.vectors = found.semantic_ids.codes_NS, found.vectors
        self.vectors_DN = np.ascontiguousarray(found.item_vectors_ND.T)
        self.item_ids = [item.item_id for item in found.catalogue]
        self.rows = {item_id: row for row, item_id in enumerate(self.item_ids)}

    def read(self, history: list[str], k: int) -> Asked:
        """Known items of a history."""
        rows_J = np.array([self.rows[i] for i in history if i in self.rows], np.int64)
        return Asked(rows_J[-self.max_history :], rows_J, k)

    def feeds(self, asked: Sequence[Asked]) -> dict[str, NDArray[Any]]:
        """The graph's inputs for these histories, padded on the right to the longest."""
        length_B = np.array([len(each.rows_T) for each in asked], np.int64)
        rows_BT = np.zeros((len(asked), length_B.max()), np.int64)
        for row_T, each in zip(rows_BT, asked, strict=True):
            row_T[: len(each.rows_T)] = each.rows_T
        return {
            "codes": self.codes_NS[rows_BT],
            "item_vectors": self.vectors.read(rows_BT),
            "history_length": length_B,
        }

    def answer(self, scores_N: NDArray[np.float32], asked: Asked) -> dict[str, Any]:
        """The best items that are not in the history."""
        scores_N[asked.hidden_J] = -np.inf
        best_K = np.argpartition(-scores_N, asked.k)[: asked.k]
        best_K = best_K[np.argsort(-scores_N[best_K])]
        return {
            "items": [{"item_id": self.item_ids[n], "score": float(scores_N[n])} for n in best_K]
        }
