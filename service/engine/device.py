"""The engine on one device, by ONNX Runtime's IO binding: for a GPU.

The catalogue lies on the device as a constant of the search graph. A batch is copied there once;
the user vectors that the first graph leaves are what the second one reads; the best items alone
come back. On a CPU it does the same, so that it is tested where there is no GPU.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.contract.types import FloatArray
from service.engine.feeds import History
from service.engine.scorer import OnnxScorer
from service.metrics import Metrics
from service.retrieval.matrix import OUTPUTS, put_together, search_feeds, search_graph
from service.retrieval.retriever import Found, Rows
from service.runtime import open_session


class DeviceEngine:
    """The scorer's session and one that searches, on the scorer's device.

    Exact search, over at most ``matrix.MOST_BYTES`` of item vectors.
    """

    retriever = "exact"

    def __init__(
        self, scorer: OnnxScorer, item_vectors_ND: FloatArray, threads: int, metrics: Metrics
    ) -> None:
        import onnxruntime

        self.values: Any = onnxruntime.OrtValue
        self.scorer = scorer
        self.provider = scorer.provider
        self.metrics = metrics
        self.items = len(item_vectors_ND)
        graph = search_graph(item_vectors_ND).SerializeToString()
        self.search = open_session(graph, scorer.device, threads)

    def candidates(
        self, histories: Sequence[History], k: Sequence[int], hidden: Sequence[Rows]
    ) -> Found:
        """The best ``k[b]`` items of each history, padded to the longest: one batch, one copy."""
        with self.metrics.encode.time():
            arrays = self.scorer.feeds(histories)
            inputs = {name: self._on_device(array) for name, array in arrays.items()}
            outputs = {"user_vector": self.scorer.device}
            (vectors_BD,) = _run(self.scorer.session, inputs, outputs)
        with self.metrics.search.time():
            asked = search_feeds(k, hidden, self.items)
            values = {name: self.values.ortvalue_from_numpy(x) for name, x in asked.items()}
            best = _run(
                self.search, {"user_vector": vectors_BD, **values}, dict.fromkeys(OUTPUTS, "cpu")
            )
            found = put_together([value.numpy() for value in best], asked, k)
        shown_B = [min(n, self.items - len(rows)) for n, rows in zip(k, hidden, strict=True)]
        if (np.isfinite(found.scores_BK).sum(axis=1) < shown_B).any():
            raise ArithmeticError("the model gave a vector that is not finite")
        return found

    def _on_device(self, array: NDArray[Any]) -> Any:
        return self.values.ortvalue_from_numpy(array, self.scorer.device, 0)


def _run(session: Any, feeds: Mapping[str, Any], outputs: Mapping[str, str]) -> Any:
    """Outputs, each left on the device named for it."""
    binding = session.io_binding()
    for name, value in feeds.items():
        binding.bind_ortvalue_input(name, value)
    for name, device in outputs.items():
        binding.bind_output(name, device)
    session.run_with_iobinding(binding)
    return binding.get_outputs()
