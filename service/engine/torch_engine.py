"""The engine in torch, all of it on one device: from rows of histories to the best items of each.

Rows and lengths go there, scores and rows come back; codes, vectors, the memory's lists, what lives
beside the bundle's items and what is gone lie there already. On a GPU all between is one recorded
graph (replay.py), of sizes that are rounded up, so that few are recorded. On a CPU it does the
same, so that it is tested where there is no GPU.
"""

import time
from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.contract.bundle import Bundle
from models.contract.types import FloatArray, ItemCodes
from models.nets.sequence import HistoryEncoder
from service.engine.engine import Answered, check_finite
from service.engine.feeds import History, row_feeds
from service.engine.masks import Masks
from service.engine.recalling import summed
from service.engine.replay import Replay, call_again, record_cuda
from service.engine.staged import Among, Best, best, best_in_full
from service.engine.tables import WORK_BYTES, Tables
from service.retrieval.live import CurrentLive
from service.retrieval.retriever import Found, nothing_found, tidied
from service.retrieval.selection import Selection, hidden_pairs
from service.runtime import Device

_SHORT = 3  # a power of two: shorter histories are taken for as long
_TOP = 128  # are found at least: to find fewer takes as long
_HIDDEN = 64  # rows that a query hides, of such as hide few
_SUMS = 256  # rows that something is added to beside the memory's, where there are any


class Asked(NamedTuple):
    """A batch as the device takes it: whole numbers of 64 bits, but for the last two.

    All but the last comes from the host.
    """

    rows_BT: Any  # of histories, padded on the right
    length_B: Any
    hidden_H2: Any  # a query and a row that it must not find; the last of all rows fills
    sums_rows_BX: Any  # what is added to scores beside what the memory adds; row 0 and 0 fill
    sums_scores_BX: Any
    allowed_BW: Any  # bits of what alone may be found; (0, W) where all may


class _There(NamedTuple):
    """On the device: with the vectors that it was found by."""

    vectors_BD: Tensor
    best: Best


class TorchEngine:
    """An Engine."""

    retriever = "exact"

    def __init__(self, bundle: Bundle, device: Device, live: CurrentLive) -> None:
        architecture = bundle.manifest.architecture
        self.provider = f"torch-{device}"
        self.max_history = architecture.max_history
        self.model = HistoryEncoder.load(bundle.weights_path, architecture).to(device)
        # Sums in bfloat16 would round more often than staged.py reckons with.
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
        self.tables = Tables(bundle, device)
        self.live = live
        self.masks = Masks(self.tables)
        recorder = record_cuda if device == "cuda" else call_again
        self.replay = Replay(recorder, self.tables.device)

    def prepare(self, max_batch: int) -> None:
        """Record what batches of up to so many are answered by, so that none waits for it."""
        blank = [ItemCodes(0, self.tables.bundle.semantic_ids.codes_NS[0])]
        queries = 1
        while queries < 2 * max_batch:
            for length in _lengths(self.max_history):
                asked = [blank * length] * queries, [1] * queries, [Selection()] * queries
                self.candidates(*asked)
            queries *= 2

    @torch.inference_mode()
    def candidates(
        self, histories: Sequence[History], k: Sequence[int], selections: Sequence[Selection]
    ) -> Answered:
        """The best ``k[b]`` items of each history. All of the time is told as the search's."""
        started = time.perf_counter()
        live = self.live()
        if self.tables.follow(live):
            self.replay.forget()
        most = min(max(k), self.tables.size + len(live.vectors_MD))
        found, together = nothing_found(len(k), most), self._together()
        vectors_BD = np.empty((len(k), self.tables.width), np.float32)
        for first in range(0, len(k), together):
            queries = range(first, min(first + together, len(k)))
            part = slice(first, first + together)
            vectors_BD[part], own = self._search(histories[part], most, selections[part])
            found.put(queries, own)
        return Answered(tidied(found, k), 0.0, time.perf_counter() - started, vectors_BD)

    def _together(self) -> int:
        """So many queries the device has the memory for: a power of two."""
        return 1 << max(1, WORK_BYTES // (4 * self.tables.rows)).bit_length() - 1

    def _search(
        self, histories: Sequence[History], k: int, selections: Sequence[Selection]
    ) -> tuple[FloatArray, Found]:
        """User vectors and the best of them, of ``_together`` queries at most."""
        asked = self._asked(histories, selections)
        top = min(power_of_two(max(k, _TOP)), self.tables.rows)
        there = self.replay(self._find, top, asked)
        vectors_BD = _here(there.vectors_BD, len(histories))
        shown_B = _here(there.best.shown_B, len(histories))
        check_finite(vectors_BD)
        found = _found(there.best, len(histories))
        if unsure := np.flatnonzero(~shown_B).tolist():
            some = self._asked(
                [histories[query] for query in unsure], [selections[query] for query in unsure]
            )
            in_full = self._find(top, *self.replay.there(some), in_full=True)
            found.put(unsure, _found(in_full.best, len(unsure)))
        return vectors_BD, found

    def _find(self, top: int, *given: Tensor, in_full: bool = False) -> _There:
        """Nothing here waits for the device, or it could not be recorded."""
        asked, tables = Asked(*given), self.tables
        rows_BT = asked.rows_BT
        codes_BTS, read_BTD = tables.codes_RS[rows_BT], tables.read_RD[rows_BT]
        vectors_BD = self.model(codes_BTS, read_BTD, asked.length_B)
        rows_BE, scores_BE = asked.sums_rows_BX, asked.sums_scores_BX
        if tables.lists is not None:
            of_memory = tables.lists.entries(rows_BT, asked.length_B)
            rows_BE, scores_BE = (
                torch.cat(both, 1) for both in zip((rows_BE, scores_BE), of_memory, strict=True)
            )
        sums = summed(rows_BE, scores_BE, tables.rows - 1) if rows_BE.shape[1] else None
        among = Among(self.masks.added(asked.allowed_BW), asked.hidden_H2, sums)
        find = best_in_full if in_full else best
        return _There(vectors_BD, find(tables.items, vectors_BD, among, top))

    def _asked(self, histories: Sequence[History], selections: Sequence[Selection]) -> Asked:
        """Each size rounded up, and what fills is a history of row 0."""
        queries = power_of_two(len(histories))
        most = max(map(len, histories))
        longest = next(length for length in _lengths(self.max_history) if length >= most)
        rows_BT, length_B = row_feeds(histories, queries, longest)
        names_live = rows_BT.max() >= self.tables.size
        if names_live and self.tables.learn(chain.from_iterable(histories)):
            self.replay.forget()
        hidden_H2 = hidden_pairs(selections)
        wanted = queries * power_of_two(max(_HIDDEN, -(-len(hidden_H2) // queries)))
        filled_H2 = np.tile(np.array([0, self.tables.rows - 1]), (wanted, 1))
        filled_H2[: len(hidden_H2)] = hidden_H2
        sums = _sums(selections, queries)
        tensors = map(torch.from_numpy, (rows_BT, length_B, filled_H2, *sums))
        allowed_BW = self.masks.of([selection.allowed for selection in selections], queries)
        return Asked._make([*tensors, allowed_BW])


def _found(best: Best, queries: int) -> Found:
    return Found(_here(best.scores_BK, queries), _here(best.rows_BK, queries))


def _here(array_B: Tensor, queries: int) -> Any:
    """On the host, without what fills."""
    return array_B[:queries].cpu().numpy()


def power_of_two(size: int) -> int:
    """The next power of two, or ``size`` where it is one."""
    return 1 << (size - 1).bit_length()


def _lengths(longest: int) -> list[int]:
    """What lengths of histories are rounded up to."""
    return [*(1 << n for n in range(_SHORT, longest.bit_length()) if 1 << n < longest), longest]


def _sums(
    selections: Sequence[Selection], queries: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """(B, X) rows and what is added to their scores; X is 0 where nothing is."""
    told = [(query, s.recalled) for query, s in enumerate(selections) if s.recalled is not None]
    longest = max((len(recalled.rows_J) for _, recalled in told), default=0)
    width = power_of_two(max(_SUMS, longest)) if longest else 0
    rows_BX = np.zeros((queries, width), np.int64)
    scores_BX = np.zeros((queries, width), np.float32)
    for query, (rows_J, scores_J) in told:
        rows_BX[query, : len(rows_J)], scores_BX[query, : len(rows_J)] = rows_J, scores_J
    return rows_BX, scores_BX
