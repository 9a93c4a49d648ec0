"""Dropout whose masks cost little on a CPU."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Dropout(nn.Module):
    """Dropout that draws one random byte an element instead of one random number.

    On a CPU torch's own spends most of its time drawing. The share is rounded to 1/256, and what
    is kept is scaled by that, so that expectations are exact. Elsewhere it is torch's own.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.dropped = round(share * 256)  # of 256

    def forward(self, x: Tensor) -> Tensor:
        """Zero a share of ``x``, of any shape, while training."""
        if not self.training or self.dropped == 0:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.dropped / 256)
        words = torch.empty((x.numel() + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
        kept = words.view(torch.uint8)[: x.numel()].view(x.shape) >= self.dropped
        return x * kept * (256 / (256 - self.dropped))
