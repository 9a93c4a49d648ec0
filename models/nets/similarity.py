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

from models.contract.config import CodeSpace, Edges
from models.contract.types import BEHAVIOUR
from models.nets.precision import in_float32
from models.nets.rows import pick

_EXACT = 2**12  # Cauchy-Schwarz: vectors shorter than this have inner products below 2^24
_RESOLUTION = 4096  # cells of the table that maps a similarity to its bucket
_PRIME = 1_000_003  # products of two hashes stay far below 2^63
MISSING_BUCKET = 0  # a similarity to a missing modality; the known ones start at 1


class ModalityPair(NamedTuple):
    """Positions, in the code space, of the modalities whose similarity is taken."""

    first: int
    second: int


class Buckets(NamedTuple):
    """Similarity buckets of a history's asking items with all its items."""

    index_BPRT: Tensor  # a bucket, or a cell of ``bucket_of_PJ`` where there is one
    share_BPRT: Tensor | None = None  # affine edges: how far towards the next bucket, [0, 1]
    bucket_of_PJ: Tensor | None = None  # kept apart, so that a bias is looked up in one step


def modality_pairs(space: CodeSpace) -> tuple[ModalityPair, ...]:
    """Every modality with itself, and content modalities with each other (cross-modal)."""
    own = [ModalityPair(m, m) for m in range(len(space.modalities))]
    content = [m for m, name in enumerate(space.modalities) if name != BEHAVIOUR]
    return (*own, *(ModalityPair(a, b) for a, b in combinations(content, 2)))


def to_fixed_point(codebook_MLKQ: Tensor) -> Tensor:
    """Scale and round so that any sum of one codeword a level is shorter than 2^12.

    One scale for all modalities. Returns whole numbers as float32, of the same shape.
    """
    longest = codebook_MLKQ.norm(dim=-1).amax(dim=2).sum(dim=1).max()
    rounding = 0.5 * codebook_MLKQ.shape[1] * codebook_MLKQ.shape[3] ** 0.5
    scale = (_EXACT - rounding - 1) / float(longest.clamp_min(1e-12))
    fixed_MLKQ: Tensor = (codebook_MLKQ * scale).round()
    return fixed_MLKQ


class SimilarityBuckets(nn.Module):
    """Buckets of the pairwise similarities of a history's items, from their codes alone.

    edges: ``quantile`` fills buckets evenly, because quantized cosines pile up and equal widths
    would leave most buckets empty. ``affine`` learns a scale and shift a pair (DMAE, arXiv
    2508.14485), and interpolates between neighbouring buckets so that they have a gradient.
    ``random`` ignores similarity: it hashes the two items' codes, the control of the ablation.
    """

    codebook: Tensor
    bucket_of: Tensor
    sides: Tensor  # (2, P): the first and the second modality of every pair

    def __init__(self, space: CodeSpace, buckets: int, edges: Edges = "quantile") -> None:
        super().__init__()
        self.space = space
        self.buckets = buckets
        self.edges = edges
        self.pairs = modality_pairs(space)
        shape = (len(space.modalities), space.levels, space.codebook_size + 1, space.vector_size)
        self.register_buffer("codebook", torch.zeros(shape))  # row K, the null code, stays zero
        bucket_of_PR = torch.zeros(len(self.pairs), _RESOLUTION, dtype=torch.int64)
        self.register_buffer("bucket_of", bucket_of_PR)
        self.register_buffer("sides", torch.tensor(self.pairs).T.contiguous(), persistent=False)
        if edges == "affine":
            self.scale = nn.Parameter(torch.ones(len(self.pairs)))
            self.shift = nn.Parameter(torch.zeros(len(self.pairs)))

    def set_codebook(self, codebook_MLKQ: Tensor) -> None:
        """Take over the quantizer's codewords; M is 1 where modalities share them."""
        self.codebook[:, :, :-1] = to_fixed_point(codebook_MLKQ)

    @torch.no_grad()
    def set_edges(self, codes_BTS: Tensor, length_B: Tensor) -> None:
        """Choose edges from the similarities of the given histories, padded on the right.

        Only of items with those before them: padding, and an item with itself, are all alike and
        would take most of the buckets.
        """
        signed_BPTT, known_BPTT = self._similarities(codes_BTS)
        step_T = torch.arange(codes_BTS.shape[1])
        real_BT = step_T < length_B[:, None]
        pairs_BTT = real_BT[:, :, None] & (step_T[:, None] > step_T)
        known_BPTT = known_BPTT & pairs_BTT[:, None]
        for p in range(len(self.pairs)):
            known_J = signed_BPTT[:, p][known_BPTT[:, p]]
            self.bucket_of[p] = _quantile_buckets(_cells(known_J), self.buckets)
            if self.edges == "affine" and len(known_J):
                # The middle 98% of similarities fill the range at the start of training.
                low, high = _upper_half(known_J).quantile(torch.tensor([0.01, 0.99]))
                self.scale[p] = 1 / (high - low).clamp_min(1e-3)
                self.shift[p] = -low * self.scale[p]

    def forward(self, codes_BTS: Tensor, row_B: Tensor | None = None) -> Buckets:
        """Buckets of (B, T, S) codes: known similarities in [1, buckets), missing ones in 0.

        ``row_B``: the one row a history that asks; all do where there is none.
        """
        if self.edges == "random":
            return self._hashed(codes_BTS, row_B)
        signed_BPRT, known_BPRT = self._similarities(codes_BTS, row_B)
        if self.edges == "affine":
            return self._interpolated(signed_BPRT, known_BPRT)
        cells_BPRT = torch.where(known_BPRT, _cells(signed_BPRT), _RESOLUTION)
        return Buckets(cells_BPRT, None, F.pad(self.bucket_of, (0, 1), value=MISSING_BUCKET))

    def quantized(self, codes_BTS: Tensor) -> Tensor:
        """Fixed-point quantized vectors, (B, T, M, Q); zero where the modality is missing."""
        modalities, levels = len(self.space.modalities), self.space.levels
        codes_BTML = codes_BTS.reshape(*codes_BTS.shape[:-1], modalities, levels)
        words_JQ = self.codebook.flatten(0, 2)
        rows_ML = torch.arange(modalities * levels, device=codes_BTS.device).view(modalities, -1)
        places_BTML = codes_BTML + rows_ML * (self.space.codebook_size + 1)
        return F.embedding(places_BTML, words_JQ).sum(-2)

    def _similarities(
        self, codes_BTS: Tensor, row_B: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Signed squared cosines, (B, P, R, T), and which of them are of known items.

        The signed square stands for the cosine: it orders pairs alike, and needs no square root,
        which runtimes round differently.
        """
        vectors_BTMQ = self.quantized(codes_BTS)
        squares_BTM = vectors_BTMQ.square().sum(-1)
        asking_BRMQ, asking_BRM = pick(vectors_BTMQ, row_B), pick(squares_BTM, row_B)
        # All pairs at once: what is exported has few nodes, each of which costs a microsecond.
        first_P, second_P = self.sides
        asking_BPRQ = asking_BRMQ.transpose(1, 2).index_select(1, first_P)
        other_BPTQ = vectors_BTMQ.transpose(1, 2).index_select(1, second_P)
        with in_float32(codes_BTS.device):
            dot_BPRT = asking_BPRQ @ other_BPTQ.transpose(-1, -2)
        asking_BPR = asking_BRM.transpose(1, 2).index_select(1, first_P)
        other_BPT = squares_BTM.transpose(1, 2).index_select(1, second_P)
        norms_BPRT = asking_BPR[..., None] * other_BPT[:, :, None]
        return dot_BPRT * dot_BPRT.abs() / norms_BPRT.clamp_min(1), norms_BPRT > 0

    def _interpolated(self, signed_BPRT: Tensor, known_BPRT: Tensor) -> Buckets:
        """r' = w r + b, r = (cos + 1) / 2, as a place between two buckets."""
        scaled_BPRT = _upper_half(signed_BPRT) * self.scale[:, None, None]
        unit_BPRT = (scaled_BPRT + self.shift[:, None, None]).clamp(0, 1)
        place_BPRT = unit_BPRT * (self.buckets - 2)
        low_BPRT = place_BPRT.detach().floor().clamp_max(self.buckets - 3)
        index_BPRT = torch.where(known_BPRT, low_BPRT.long() + 1, MISSING_BUCKET)
        return Buckets(index_BPRT, (place_BPRT - low_BPRT) * known_BPRT)

    def _hashed(self, codes_BTS: Tensor, row_B: Tensor | None) -> Buckets:
        """A bucket that is the same for the same two items, and says nothing about them."""
        slots_S = torch.arange(codes_BTS.shape[-1], device=codes_BTS.device)
        item_BT = (codes_BTS * (slots_S * 7919 + 104_729)).sum(-1) % _PRIME
        pairs_P11 = torch.arange(len(self.pairs), device=codes_BTS.device)[:, None, None]
        asking_BR1 = pick(item_BT, row_B)[:, :, None]
        both_BRT = asking_BR1 * item_BT[:, None, :] + asking_BR1
        mixed_BPRT = (both_BRT[:, None] * (pairs_P11 * 2 + 48_271)) % _PRIME
        return Buckets(1 + mixed_BPRT % (self.buckets - 1))


def _cells(signed: Tensor) -> Tensor:
    """Cells of the resolution table."""
    # +1 before the product, so that no compiler fuses the two into one rounding.
    return ((signed + 1) * (_RESOLUTION / 2)).long().clamp(0, _RESOLUTION - 1)


def _upper_half(signed: Tensor) -> Tensor:
    """(cos + 1) / 2 of a signed squared cosine."""
    return (signed.sign() * signed.abs().sqrt() + 1) / 2


def _quantile_buckets(cells_J: Tensor, buckets: int) -> Tensor:
    """The bucket of every cell, (R,), such that the given cells fill buckets 1... evenly."""
    counts_R = cells_J.bincount(minlength=_RESOLUTION)
    below_R = counts_R.cumsum(0) - counts_R
    share_R = below_R / counts_R.sum().clamp_min(1)
    return 1 + (share_R * (buckets - 1)).long().clamp_max(buckets - 2)
