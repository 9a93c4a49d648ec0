"""One modality of all items, as the quantizer learns from it."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.contract.types import FloatArray
from models.nets.content_codes import Standard


@dataclass(frozen=True)
class View:
    """One modality of all items: vectors (N, X), standardised, and which items have it."""

    vectors_NX: Tensor
    present_N: Tensor

    def to(self, device: torch.device) -> "View":
        """The same on another device."""
        return View(self.vectors_NX.to(device), self.present_N.to(device))

    @classmethod
    def standardise(cls, vectors_NX: FloatArray, present_N: NDArray[np.bool_]) -> "View":
        """Zero mean and unit variance over the items that are there; the others stay zero."""
        by = standard(vectors_NX, present_N)
        standard_NX = np.where(present_N[:, None], (vectors_NX - by.mean_X) / by.scale, 0)
        return cls(torch.from_numpy(standard_NX.astype(np.float32)), torch.from_numpy(present_N))


def standard(vectors_NX: FloatArray, present_N: NDArray[np.bool_]) -> Standard:
    """One scale for all of a vector: relative variances carry meaning."""
    there = vectors_NX[present_N]
    if not len(there):
        return Standard(np.zeros(vectors_NX.shape[1], np.float32), 1.0)
    return Standard(there.mean(axis=0), float(there.std(axis=0).mean() + 1e-6))
