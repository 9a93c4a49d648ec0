"""From codes to similarity buckets: BBQRec's discretised similarity, stage 2 (docs/method.md 3).

Similarities are computed in *fixed point*. The codebook is scaled and rounded to whole numbers so
small that every inner product of two quantized vectors is a whole number below 2^24, which float32
holds exactly whatever the order of summation. Training, torch and ONNX Runtime, batched or not,
therefore see bit-identical similarities and put them into the same bucket; a rounding error of
one part in 10^7 can never move an attention score by a whole bucket.
"""

from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.config import CodeSpace
from models.types import Modality

_EXACT = 2**12  # Cauchy-Schwarz: vectors shorter than this have inner products below 2^24
_RESOLUTION = 4096  # cells of the table that maps a similarity to its bucket
MISSING_BUCKET = 0  # a similarity to a missing modality; the known ones start at 1


class ModalityPair(NamedTuple):
    """Positions, in the code space, of the modalities whose similarity is taken."""

    first: int
    second: int


def modality_pairs(space: CodeSpace) -> tuple[ModalityPair, ...]:
    """Every modality with itself, and content modalities with each other (cross-modal)."""
    own = [ModalityPair(m, m) for m in range(len(space.modalities))]
    content = [m for m, name in enumerate(space.modalities) if name is not Modality.BEHAVIOUR]
    return (*own, *(ModalityPair(a, b) for a, b in combinations(content, 2)))


def to_fixed_point(codebook_LKQ: Tensor) -> Tensor:
    """Scale and round so that any sum of one codeword a level is shorter than 2^12.

    Returns whole numbers as float32, (L, K, Q).
    """
    longest = codebook_LKQ.norm(dim=-1).amax(dim=1).sum()
    rounding = 0.5 * codebook_LKQ.shape[0] * codebook_LKQ.shape[2] ** 0.5
    scale = (_EXACT - rounding - 1) / float(longest.clamp_min(1e-12))
    fixed_LKQ: Tensor = (codebook_LKQ * scale).round()
    return fixed_LKQ


class SimilarityBuckets(nn.Module):
    """Buckets of the pairwise similarities of a history's items, from their codes alone."""

    codebook: Tensor
    bucket_of: Tensor

    def __init__(self, space: CodeSpace, buckets: int) -> None:
        super().__init__()
        self.space = space
        self.buckets = buckets
        self.pairs = modality_pairs(space)
        codebook_LKQ = torch.zeros(space.levels, space.codebook_size + 1, space.vector_size)
        self.register_buffer("codebook", codebook_LKQ)  # row K, the null code, stays zero
        bucket_of_PR = torch.zeros(len(self.pairs), _RESOLUTION, dtype=torch.int64)
        self.register_buffer("bucket_of", bucket_of_PR)

    def set_codebook(self, codebook_LKQ: Tensor) -> None:
        """Take over the quantizer's codebook, (L, K, Q)."""
        self.codebook[:, :-1] = to_fixed_point(codebook_LKQ)

    def set_quantile_edges(self, codes_BTS: Tensor) -> None:
        """Choose bucket edges so that the given histories' similarities fill buckets evenly.

        Quantiles, because quantized cosines pile up: equal widths would leave most buckets empty.
        """
        cells_BPTT, known_BPTT = self._cells(codes_BTS)
        for p in range(len(self.pairs)):
            counts_R = cells_BPTT[:, p][known_BPTT[:, p]].bincount(minlength=_RESOLUTION)
            below_R = counts_R.cumsum(0) - counts_R
            share_R = below_R / counts_R.sum().clamp_min(1)
            self.bucket_of[p] = 1 + (share_R * (self.buckets - 1)).long().clamp_max(
                self.buckets - 2
            )

    def forward(self, codes_BTS: Tensor) -> Tensor:
        """(B, T, S) codes -> (B, P, T, T) buckets in [0, buckets)."""
        cells_BPTT, known_BPTT = self._cells(codes_BTS)
        offsets_P11 = torch.arange(len(self.pairs), device=cells_BPTT.device)[:, None, None]
        found_BPTT = self.bucket_of.flatten()[cells_BPTT + offsets_P11 * _RESOLUTION]
        return torch.where(known_BPTT, found_BPTT, MISSING_BUCKET)

    def quantized(self, codes_BTS: Tensor) -> Tensor:
        """Fixed-point quantized vectors, (B, T, M, Q); zero where the modality is missing."""
        modalities, levels = len(self.space.modalities), self.space.levels
        codes_BTML = codes_BTS.reshape(*codes_BTS.shape[:-1], modalities, levels)
        return torch.stack(
            [F.embedding(codes_BTML[..., level], self.codebook[level]) for level in range(levels)]
        ).sum(0)

    def _cells(self, codes_BTS: Tensor) -> tuple[Tensor, Tensor]:
        """Cells of the resolution table, (B, P, T, T), and which of them are of known items.

        The signed squared cosine stands for the cosine: it orders pairs alike, and needs no
        square root, which runtimes round differently.
        """
        vectors_BTMQ = self.quantized(codes_BTS)
        squares_BTM = vectors_BTMQ.square().sum(-1)
        cells, known = [], []
        for first, second in self.pairs:
            dot_BTT = vectors_BTMQ[:, :, first] @ vectors_BTMQ[:, :, second].transpose(1, 2)
            norms_BTT = squares_BTM[:, :, first, None] * squares_BTM[:, None, :, second]
            signed_BTT = dot_BTT * dot_BTT.abs() / norms_BTT.clamp_min(1)
            # +1 before the product, so that no compiler fuses the two into one rounding.
            cells.append(((signed_BTT + 1) * (_RESOLUTION / 2)).long().clamp(0, _RESOLUTION - 1))
            known.append(norms_BTT > 0)
        return torch.stack(cells, dim=1), torch.stack(known, dim=1)
