"""Rows of histories, and of tables of codes."""

import numpy as np
import torch
from torch import Tensor

from models.contract.types import CodeArray


def code_tensor(codes_NS: CodeArray, device: torch.device | str = "cpu") -> Tensor:
    """(N, S) int64, on a device: torch looks nothing up by the uint16 that tables are kept in."""
    return torch.from_numpy(codes_NS.astype(np.int64)).to(device)


def pick(x: Tensor, row_B: Tensor | None) -> Tensor:
    """(B, T, ...) -> (B, 1, ...), row ``row_B[b]`` of each; all of ``x`` where none is named."""
    if row_B is None:
        return x
    return x[torch.arange(x.shape[0], device=x.device), row_B][:, None]
