"""Rows of histories."""

import torch
from torch import Tensor


def pick(x: Tensor, row_B: Tensor | None) -> Tensor:
    """(B, T, ...) -> (B, 1, ...), row ``row_B[b]`` of each; all of ``x`` where none is named."""
    if row_B is None:
        return x
    return x[torch.arange(x.shape[0], device=x.device), row_B][:, None]
