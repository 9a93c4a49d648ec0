"""Vectors of content -> codes: the part of a quantizer that takes new items in, for export."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.contract.types import FloatArray, Modality
from models.nets.quantizer import Quantizer


class Standard(NamedTuple):
    """What a modality's vectors (N, X) were standardised by."""

    mean_X: FloatArray
    scale: float


class ContentCodes(nn.Module):
    """Codes (B, L) of each modality of content, from its encoder's vectors as they are."""

    def __init__(self, quantizer: Quantizer, standards: Mapping[Modality, Standard]) -> None:
        super().__init__()
        self.quantizer = quantizer
        self.modalities = tuple(standards)
        self.means = [torch.from_numpy(standard.mean_X) for standard in standards.values()]
        self.scales = [standard.scale for standard in standards.values()]

    def forward(self, *vectors: Tensor) -> tuple[Tensor, ...]:
        """One input (B, X) and one output (B, L) a modality, in order."""
        codes = []
        for modality, x_BX, mean_X, scale in zip(
            self.modalities, vectors, self.means, self.scales, strict=True
        ):
            codes.append(self._codes(modality, (x_BX - mean_X) / scale))
        return tuple(codes)

    def _codes(self, modality: Modality, x_BX: Tensor) -> Tensor:
        residual_BQ, codes = self.quantizer.branches(modality, x_BX).bound_BQ, []
        for codebook_KQ in self.quantizer.codebook(modality).codewords_LKQ:
            size_K = codebook_KQ.square().sum(-1)
            code_B = (size_K - 2 * residual_BQ @ codebook_KQ.T).argmin(-1)
            codes.append(code_B)
            residual_BQ = residual_BQ - nn.functional.embedding(code_B, codebook_KQ)
        return torch.stack(codes, 1)
