"""What a batch is answered from, on a device: the bundle's rows, and behind them live ones."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.contract.bundle import Bundle
from models.contract.types import FloatArray, ItemCodes
from service.engine.recalling import Lists
from service.engine.replay import RECORDING
from service.engine.staged import BLOCK, Items
from service.retrieval.live import Live
from service.retrieval.rows import Mask
from service.runtime import Device, ProviderError

WORK_BYTES = 2**31  # of scores at a time
_ROOM = 8 * BLOCK  # live rows that there is room for at first, at least
_ROOM_SHARE = 8  # and an eighth of the bundle's
_AT_ONCE = 100_000  # rows that are copied there


class Tables:
    """R rows, N of them the bundle's; nothing ever lies in the last.

    codes_RS, read_RD: what a history is read as. items: what user vectors are compared with.
    added_R: 0, or -inf for what is not to be found, as is a row that nothing lies in.
    """

    items: Items
    codes_RS: Tensor
    added_R: Tensor
    read_RD: Tensor

    def __init__(self, bundle: Bundle, device: Device) -> None:
        self.bundle, self.device = bundle, torch.device(device)
        self.size: int = len(bundle.item_vectors_ND)
        self.width: int = bundle.item_vectors_ND.shape[1]
        needed = bytes_needed(bundle)
        if device == "cuda" and (free := _free_bytes()) < needed:
            raise ProviderError(
                f"{self.size:,} items need {needed:,} bytes of the GPU's memory, {free:,} are "
                "free: the retriever `compressed` needs none"
            )
        self._make(_rows(self.size))
        for first in range(0, self.size, _AT_ONCE):  # files are mapped: not all is in memory
            rows = np.arange(first, min(first + _AT_ONCE, self.size))
            self.items.put(first, self._there(bundle.item_vectors_ND[rows]))
            self._read(rows, bundle.semantic_ids.codes_NS[rows], bundle.vectors.read(rows))
        self.lists = None if bundle.memory is None else Lists.of(bundle.memory, self.device)
        self.found_R = np.zeros(self.rows, np.bool_)  # what may be found, as added_R tells
        self._live: Live | None = None
        self._read_rows: set[int] = set()

    @property
    def rows(self) -> int:
        """R."""
        return len(self.codes_RS)

    def follow(self, live: Live) -> bool:
        """Take in what lives by now. True where that needed more room, and tables lie elsewhere."""
        if live is self._live:
            return False
        there = 0 if self._live is None else len(self._live.vectors_MD)
        grown = self._make_room(len(live.vectors_MD))
        if len(fresh_MD := live.vectors_MD[there:]):
            self.items.put(self.size + there, self._there(fresh_MD))
        first = 0 if self._live is None or self._live.gone_N is not live.gone_N else self.size
        self._show(first, ~np.concatenate([live.gone_N, live.gone_M])[first:])
        self._live = live
        return grown

    def learn(self, items: Iterable[ItemCodes]) -> bool:
        """What live items of histories are read as. True as ``follow`` says."""
        fresh = {
            item.item_index: item
            for item in items
            if item.item_index >= self.size and item.item_index not in self._read_rows
        }
        grown = bool(fresh) and self._make_room(max(fresh) + 1 - self.size)
        for row, codes, read_D in fresh.values():
            assert read_D is not None
            self._read(np.array([row]), codes[None], read_D[None])
        self._read_rows.update(fresh)
        return grown

    def _show(self, first: int, found_M: Mask) -> None:
        """Which rows from ``first`` on may be found; only those that change are written."""
        rows = first + np.flatnonzero(self.found_R[first : first + len(found_M)] != found_M)
        self.found_R[rows] = found_M[rows - first]
        added = np.where(self.found_R[rows], np.float32(0), np.float32(-np.inf))
        self.added_R[self._there(rows)] = self._there(added).bfloat16()

    def _read(self, rows: NDArray[np.int64], codes_MS: NDArray[Any], read_MD: Any) -> None:
        at = self._there(rows)
        self.codes_RS[at] = self._there(codes_MS.astype(np.int32))
        if self.bundle.vectors.columns:
            self.read_RD[at] = self._there(read_MD)

    def _make(self, rows: int, kept: int = 0) -> None:
        """Room for so many rows, the first of which are kept. Without memory nothing changes."""
        slots = self.bundle.semantic_ids.codes_NS.shape[1]
        items = Items.room(rows, self.width, self.device)
        rows = len(items.scan_RD)
        codes_RS = torch.zeros(rows, slots, dtype=torch.int32, device=self.device)
        added_R = torch.full((rows,), -torch.inf, dtype=torch.bfloat16, device=self.device)
        read_RD = items.exact_RD  # unless some towers read other vectors than they score
        if self.bundle.vectors.columns:
            read_RD = torch.zeros_like(read_RD)
        if kept:
            items.take(self.items)
            codes_RS[:kept], added_R[:kept] = self.codes_RS, self.added_R
            read_RD[:kept] = self.read_RD
        self.items, self.codes_RS, self.added_R, self.read_RD = items, codes_RS, added_R, read_RD

    def _make_room(self, live: int) -> bool:
        """For so many live rows; for twice as many, where that needs more of it."""
        if self.size + live < self.rows:  # the last is left free
            return False
        rows = self.rows
        self._make(self.size + 2 * live, kept=rows)
        self.found_R = np.concatenate([self.found_R, np.zeros(self.rows - rows, np.bool_)])
        return True

    def _there(self, array: NDArray[Any]) -> Tensor:
        return torch.tensor(array, device=self.device)


def _free_bytes() -> int:
    """Of the GPU's memory: with what torch keeps of an engine that was let go."""
    with RECORDING:
        torch.cuda.empty_cache()
    free: int = torch.cuda.mem_get_info()[0]
    return free


def bytes_needed(bundle: Bundle) -> int:
    """Of the device's memory: the tables, and what a search works in."""
    items_ND: FloatArray = bundle.item_vectors_ND
    rows, width = _rows(len(items_ND)) + BLOCK, items_ND.shape[1]
    read = 4 * width if bundle.vectors.columns else 0
    each = 6 * width + read + 4 * bundle.semantic_ids.codes_NS.shape[1] + 2
    memory = bundle.memory
    lists = 0 if memory is None else 8 * (len(memory.items_J) + len(memory.offsets))
    needed: int = rows * each + lists + 2 * WORK_BYTES
    return needed


def _rows(items: int) -> int:
    """Those of a bundle's items, and room for live ones."""
    return items + max(_ROOM, items // _ROOM_SHARE)
