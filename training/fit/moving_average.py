"""Weights averaged over steps, exponentially; the first steps soon forget where they began.

What is validated and exported. Late steps of sparse data wander around what they look for: their
average is better than any of them, and changes smoothly from epoch to epoch.
"""

import math
from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from models.nets.sequence import SequenceModel

_SLOW = 9  # step t keeps t / (t + 9), until that is more than it is asked to keep


class MovingAverage(nn.Module):
    """Of ``model``, with whose first step it begins.

    torch's own asks the device at every step how many there were, and copies what never changes:
    here buffers are the model's. ``tables``: whoever updates those with sparse gradients sees to
    their average.
    """

    def __init__(
        self, model: SequenceModel, decay: float, tables: Sequence[nn.Embedding] = ()
    ) -> None:
        super().__init__()
        shared = {id(buffer): buffer for buffer in model.buffers()}
        self.module: SequenceModel = deepcopy(model, shared).requires_grad_(False)
        self.decay = decay
        self.tables = tuple(tables)  # a tuple registers none of them as a part of this
        self.steps = 0

    @torch.no_grad()
    def follow(self, model: SequenceModel) -> None:
        """One more step was made."""
        self.steps += 1
        share = 1.0 if self.steps == 1 else 1 - kept(self.decay, self.steps)
        others = {id(table.weight) for table in self.tables if table.sparse}
        pairs = zip(self.module.parameters(), model.parameters(), strict=True)
        mine = [(averaged, weight) for averaged, weight in pairs if id(weight) not in others]
        averages, weights = zip(*mine, strict=True)
        torch._foreach_lerp_(averages, weights, share)

    def get_extra_state(self) -> Tensor:
        """The number of steps, as checkpoints take it."""
        return torch.tensor(self.steps)

    def set_extra_state(self, state: Tensor) -> None:
        """Go on from so many."""
        self.steps = int(state)


def kept(decay: float, step: int) -> float:
    """What a step, from 1, keeps of the average before it."""
    return min(decay, step / (step + _SLOW))


def log_kept(decay: float, step: Tensor) -> Tensor:
    """Logarithm of what so many steps together keep: a product of fractions, then a power."""
    turn = math.floor(_SLOW * decay / (1 - decay))
    first = step.clamp(max=turn)
    fractions = torch.lgamma(first + 1) + math.lgamma(_SLOW + 1) - torch.lgamma(first + _SLOW + 1)
    return fractions + (step - first) * math.log(decay)
