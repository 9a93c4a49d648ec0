"""Weights averaged over steps, exponentially; the first steps soon forget where they began.

What is validated and exported. Late steps of sparse data wander around what they look for: their
average is better than any of them, and changes smoothly from epoch to epoch.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from models.nets.sequence import SequenceModel

_SLOW = 9  # step t keeps t / (t + 9), until that is more than it is asked to keep


def moving_average(
    model: SequenceModel, decay: float, tables: Sequence[nn.Embedding] = ()
) -> AveragedModel:
    """Of ``model``. ``tables``: of those with sparse gradients, whoever updates them sees to it."""

    @torch.no_grad()
    def follow(averaged: Any, current: Any, count: Tensor | int) -> None:
        share = 1 - kept(decay, int(count) + 1)
        others = {table.weight.data_ptr() for table in tables if table.sparse}
        mine = [n for n, weight in enumerate(current) if weight.data_ptr() not in others]
        torch._foreach_lerp_([averaged[n] for n in mine], [current[n] for n in mine], share)

    return AveragedModel(model, multi_avg_fn=follow).requires_grad_(False)


def kept(decay: float, step: int) -> float:
    """What a step, from 1, keeps of the average before it."""
    return min(decay, step / (step + _SLOW))


def log_kept(decay: float, step: Tensor) -> Tensor:
    """Logarithm of what so many steps together keep: a product of fractions, then a power."""
    turn = math.floor(_SLOW * decay / (1 - decay))
    first = step.clamp(max=turn)
    fractions = torch.lgamma(first + 1) + math.lgamma(_SLOW + 1) - torch.lgamma(first + _SLOW + 1)
    return fractions + (step - first) * math.log(decay)
