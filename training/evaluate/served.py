"""What serves, as a Ranker of another data set: a bundle, asked about histories it never saw."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.contract.bundle import Bundle
from models.contract.types import FloatArray
from training.data.histories import Windows, unroll
from training.evaluate.ranking import Ranker
from training.export.onnx_ranker import OnnxRanker
from training.fit.remember import with_memory


class ServedRanker:
    """A bundle's graph and memory, for a catalogue whose items may be others, in another order.

    Items that the bundle does not know are skipped in histories and score worst. A history of none
    that it knows gets what is popular there, as it would from the service.
    """

    def __init__(self, bundle: Bundle, item_ids: Sequence[str]) -> None:
        rows = [bundle.catalogue.rows.get(item_id) for item_id in item_ids]
        self.row_N = np.array([-1 if row is None else row for row in rows], np.int32)
        self.ranker: Ranker = with_memory(OnnxRanker.of(bundle), bundle.memory)
        self.popularity_M = np.asarray(bundle.catalogue.recent_N, np.float32)

    def score(self, items: NDArray[np.int32], windows: Windows) -> FloatArray:
        """Scores (B, N)."""
        steps = unroll(items, windows)
        row_J = self.row_N[steps.item]
        known_J = row_J >= 0
        length_B = np.bincount(steps.row[known_J], minlength=len(windows.start))
        start_B = np.cumsum(length_B) - length_B
        scores_BM = np.tile(self.popularity_M, (len(length_B), 1))
        some = np.flatnonzero(length_B)
        if len(some):
            known = Windows(start_B[some], length_B[some])
            scores_BM[some] = self.ranker.score(row_J[known_J], known)
        scores_BN = np.where(self.row_N >= 0, scores_BM[:, self.row_N], np.float32(-np.inf))
        return scores_BN.astype(np.float32)
