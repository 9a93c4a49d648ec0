"""The engine on one device, by ONNX Runtime's IO binding: for a GPU.

The catalogue lies there as constants of graphs. A batch's rows and lengths are copied there; what
the first graph looks up of them (lookup.py) the second makes user vectors of, with which the third
searches; they and the best items come back. What lives beside the catalogue, what the memory adds,
and the few rows that a query may find, are scored on the host. On a CPU it does the same, so that
it is tested where there is no GPU.
"""

import time
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.contract.types import FloatArray
from service.engine import lookup
from service.engine.engine import Answered, check_finite, recall
from service.engine.feeds import History, row_feeds
from service.engine.scorer import OnnxScorer
from service.retrieval.live import CurrentLive
from service.retrieval.matrix import (
    OUTPUTS,
    added_scores,
    open_search,
    put_together,
    search_feeds,
)
from service.retrieval.overlay import Overlay
from service.retrieval.retriever import Found
from service.retrieval.rows import Rows, RowSet
from service.retrieval.selection import Selection
from service.runtime import Device

_FEW = 50  # a fiftieth of the items: more rows are scored faster by the device, with all the others


class DeviceEngine:
    """The scorer's session and one that searches, on the scorer's device.

    Exact search, over at most ``matrix.MOST_BYTES`` of item vectors.
    """

    retriever = "exact"

    def __init__(self, scorer: OnnxScorer, threads: int, live: CurrentLive) -> None:
        bundle, item_vectors_ND = scorer.bundle, scorer.bundle.item_vectors_ND
        self.memory = bundle.memory
        self.scorer = scorer
        self.provider = scorer.provider
        self.lookup = lookup.open_lookup(bundle, scorer.device, threads)
        slots, width = bundle.semantic_ids.codes_NS.shape[1], item_vectors_ND.shape[1]
        self.nothing = np.zeros((1, slots), np.int32), np.zeros((1, width), np.float32)
        self.search = DeviceRetriever(item_vectors_ND, scorer.device, threads)
        self.overlay = Overlay(self.search, item_vectors_ND, threads, live)

    def candidates(
        self, histories: Sequence[History], k: Sequence[int], selections: Sequence[Selection]
    ) -> Answered:
        """The best ``k[b]`` items of each history, padded to the longest: one batch, one copy."""
        started = time.perf_counter()
        there = self._encoded(histories)
        vectors_BD = there.numpy()
        encoded = time.perf_counter()
        check_finite(vectors_BD)
        self.search.there = vectors_BD, there
        found = self.overlay.search(vectors_BD, k, recall(self.memory, histories, selections))
        return Answered(found, encoded - started, time.perf_counter() - encoded, vectors_BD)

    def _encoded(self, histories: Sequence[History]) -> Any:
        """User vectors, left on the device: rows and lengths alone are copied there."""
        device = self.scorer.device
        longest = max(map(len, histories))
        rows_BT, length_B = row_feeds(histories, len(histories), longest)
        asked = rows_BT, *self._live_items(histories, rows_BT)
        given = dict(zip(lookup.INPUTS, (_put(array, device) for array in asked), strict=True))
        read = _run(self.lookup, given, dict.fromkeys(lookup.OUTPUTS, device))
        inputs = zip(self.scorer.inputs, (*read, _put(length_B, device)), strict=True)
        (vectors,) = _run(self.scorer.session, dict(inputs), {"user_vector": device})
        return vectors

    def _live_items(
        self, histories: Sequence[History], rows_BT: Rows
    ) -> tuple[NDArray[np.int32], FloatArray]:
        """What is read of live items of histories, (L, S) and (L, D), to which rows are pointed."""
        size = self.search.items
        if rows_BT.max() < size:
            return self.nothing
        live = {item.item_index: item for item in chain.from_iterable(histories)}
        rows = sorted(row for row in live if row >= size)
        live_BT = rows_BT >= size
        rows_BT[live_BT] = size + np.searchsorted(rows, rows_BT[live_BT])
        codes_LS = np.stack([live[row].codes for row in rows]).astype(np.int32)
        return codes_LS, np.array([live[row].read_D for row in rows], np.float32)


class DeviceRetriever:
    """The search graph on a device."""

    kind = "exact"

    def __init__(self, item_vectors_ND: FloatArray, device: Device, threads: int) -> None:
        self.items, self.device = len(item_vectors_ND), device
        self.few = self.items // _FEW
        self.vectors_ND = np.ascontiguousarray(item_vectors_ND, np.float32)
        self.session = open_search(self.vectors_ND, device, threads)
        self.there: tuple[FloatArray, Any] | None = None  # vectors, and the same on the device
        self._added: tuple[NDArray[np.float32], Any] | None = None  # the same, for it stays so

    def search(
        self,
        vectors_BD: FloatArray,
        k: Sequence[int],
        selections: Sequence[Selection],
        gone: RowSet | None = None,
    ) -> Found:
        """The best ``k[b]`` items of query b in ``selections[b]``, none of ``gone``."""
        if self.there is not None and self.there[0] is vectors_BD:
            there = self.there[1]
        else:
            there = _put(vectors_BD, self.device)
        asked = search_feeds(k, selections, self.items)
        values = {name: _put(array, "cpu") for name, array in asked.items()}
        added = self._put_added(added_scores(selections, gone, self.items))
        inputs = {"user_vector": there, "added": added, **values}
        best = _run(self.session, inputs, dict.fromkeys(OUTPUTS, "cpu"))
        return put_together([value.numpy() for value in best], asked, k)

    def _put_added(self, added: NDArray[np.float32]) -> Any:
        """On the device, once for as long as it is the same."""
        if self._added is None or self._added[0] is not added:
            self._added = added, _put(added, self.device)
        return self._added[1]


def _put(array: NDArray[Any], device: Device) -> Any:
    import onnxruntime

    return onnxruntime.OrtValue.ortvalue_from_numpy(array, device, 0)


def _run(session: Any, feeds: Mapping[str, Any], outputs: Mapping[str, str]) -> Any:
    """Outputs, each left on the device named for it."""
    binding = session.io_binding()
    for name, value in feeds.items():
        binding.bind_ortvalue_input(name, value)
    for name, device in outputs.items():
        binding.bind_output(name, device)
    session.run_with_iobinding(binding)
    return binding.get_outputs()
