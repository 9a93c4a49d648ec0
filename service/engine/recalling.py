"""The memory on a device: what histories bring to mind, of all of a batch at once. Plain torch.

The same sums as ``models/contract/memory.py`` makes of one history.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from models.contract.memory import STEPS, Memory
from service.engine.staged import Sums


class Lists(NamedTuple):
    """The memory's lists, one after another; the longest has so many entries."""

    offsets: Tensor  # (N + 1,)
    rows_J: Tensor
    scores_J: Tensor
    fade_E: Tensor  # what each step back leaves of a score
    longest: int

    @classmethod
    def of(cls, memory: Memory, device: torch.device) -> "Lists":
        """All of it, on the device."""
        lengths = memory.offsets[1:] - memory.offsets[:-1]
        return cls(
            torch.tensor(memory.offsets, device=device),
            torch.tensor(memory.items_J, device=device),
            torch.tensor(memory.scores_J, device=device),
            torch.tensor([memory.decay**back for back in range(STEPS)], device=device),
            int(lengths.max(initial=0)),
        )

    def entries(self, rows_BT: Tensor, length_B: Tensor) -> tuple[Tensor, Tensor]:
        """(B, E) rows and scores, of the latest items of each history; row 0 and 0 fill.

        rows_BT: padded on the right; those beyond the memory's have no lists.
        """
        back_E = torch.arange(STEPS, device=rows_BT.device)
        place_BE = length_B[:, None] - 1 - back_E
        row_BE = rows_BT.gather(1, place_BE.clamp(min=0))
        has_BE = (place_BE >= 0) & (row_BE < len(self.offsets) - 1)
        row_BE = row_BE * has_BE
        first_BE, count_BE = self.offsets[row_BE], self.offsets[row_BE + 1] - self.offsets[row_BE]
        reach_L = torch.arange(self.longest, device=rows_BT.device)
        inside_BEL = (reach_L < count_BE[:, :, None]) & has_BE[:, :, None]
        place_BEL = (first_BE[:, :, None] + reach_L) * inside_BEL
        rows_BEL = self.rows_J[place_BEL] * inside_BEL
        scores_BEL = self.scores_J[place_BEL] * inside_BEL * self.fade_E[:, None]
        return rows_BEL.flatten(1).long(), scores_BEL.flatten(1)


def summed(rows_BE: Tensor, scores_BE: Tensor, filling: int) -> Sums:
    """What is told of each row, summed. ``filling``: a row that none is above."""
    rows_BE, order_BE = rows_BE.sort(1)
    scores_BE = scores_BE.gather(1, order_BE)
    begins_BE = torch.ones_like(rows_BE)
    begins_BE[:, 1:] = rows_BE[:, 1:] != rows_BE[:, :-1]
    run_BE = begins_BE.cumsum(1) - 1
    filled_BJ = torch.full_like(rows_BE, filling)
    sums_BJ = torch.zeros_like(scores_BE).scatter_add_(1, run_BE, scores_BE)
    return Sums(filled_BJ.scatter_(1, run_BE, rows_BE), sums_BJ)
