"""Weights averaged over steps, exponentially; the first steps soon forget where they began.

The average is validated and exported. On sparse data late steps wander around the optimum: their
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
    """The average of a model's weights; it begins with those after the first step.

    torch's own AveragedModel waits for the device at every step and copies buffers, which here are
    the model's own. Those of ``tables`` with sparse gradients are averaged by their optimiser.
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
        """Take in the weights after one more step."""
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
        """Go on from a checkpoint's number of steps."""
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
