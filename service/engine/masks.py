"""What alone may be found, as bits on a device, which stay there for as long as they are used."""

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from service.engine.tables import Tables
from service.retrieval.selection import Allowed

_KEPT = 64  # those used last


class Masks:
    """Of the rows of ``tables``: W bytes of eight rows each."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        bits = [1 << bit for bit in range(8)]
        self.bit_8 = torch.tensor(bits, dtype=torch.uint8, device=tables.device)
        self._kept: OrderedDict[tuple[int, int, int], tuple[Allowed, Tensor]] = OrderedDict()

    def of(self, allowed: Sequence[Allowed | None], queries: int) -> Tensor:
        """(B, W) for so many queries, of which the last may find anything; (0, W) where all may."""
        width = self.tables.rows // 8
        device = self.tables.device
        if not any(allowed):
            return torch.empty((0, width), dtype=torch.uint8, device=device)
        anything = torch.full((width,), 255, dtype=torch.uint8, device=device)
        each = [anything if one is None else self._bits(one) for one in allowed]
        return torch.stack(each + [anything] * (queries - len(each)))

    def added(self, allowed_BW: Tensor) -> Tensor:
        """What is added to scores, (R,) or (B, R): -inf for what must not be found."""
        if not len(allowed_BW):
            return self.tables.added_R
        found_BR = ((allowed_BW[:, :, None] & self.bit_8) != 0).flatten(1)
        return self.tables.added_R.expand(len(found_BR), -1).masked_fill(~found_BR, -torch.inf)

    def _bits(self, allowed: Allowed) -> Tensor:
        key = id(allowed.base), id(allowed.live), self.tables.rows
        kept = self._kept.pop(key, None) or (allowed, self._put(allowed))
        self._kept[key] = kept
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return kept[1]

    def _put(self, allowed: Allowed) -> Tensor:
        bits_W = np.zeros(self.tables.rows // 8, np.uint8)
        bits_W[: len(allowed.base.bits)] = allowed.base.bits
        live = allowed.live
        np.bitwise_or.at(bits_W, live >> 3, np.left_shift(1, live & 7).astype(np.uint8))
        return torch.from_numpy(bits_W).to(self.tables.device)
