"""The quantizer: behaviour-bound codes from content (docs/method.md, section 2).

Per modality, one encoder keeps what is specific to it (h^S) and one what binds to behaviour (h^B);
CLUB pushes them apart. All h^B, and the behaviour vector, share one residual codebook. Each
modality is decoded from both branches, so neither can go constant to please CLUB.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.club import Club
from models.config import CodeSpace
from models.types import Modality


class Quantized(NamedTuple):
    """What residual quantization makes of a batch of vectors."""

    codes_BL: Tensor
    vectors_BQ: Tensor  # the sum of codewords, with straight-through gradients to the input
    residual_BQ: Tensor  # what the last level had to quantize
    loss: Tensor  # codebook + commitment, a mean over levels


class ResidualCodebook(nn.Module):
    """L codebooks of K codewords each; every level quantizes what the ones before left over."""

    def __init__(self, space: CodeSpace) -> None:
        super().__init__()
        shape = (space.levels, space.codebook_size, space.vector_size)
        self.codewords_LKQ = nn.Parameter(torch.randn(shape) * 0.1)

    def forward(self, h_BQ: Tensor, commitment: float = 0.25) -> Quantized:
        """Quantize (B, Q)."""
        residual_BQ, last_BQ, total_BQ = h_BQ, h_BQ, torch.zeros_like(h_BQ)
        codes, losses = [], []
        for codebook_KQ in self.codewords_LKQ:
            last_BQ = residual_BQ
            code_B = nearest(residual_BQ.detach(), codebook_KQ.detach())
            word_BQ = F.embedding(code_B, codebook_KQ)
            losses.append(
                F.mse_loss(word_BQ, residual_BQ.detach())
                + commitment * F.mse_loss(residual_BQ, word_BQ.detach())
            )
            codes.append(code_B)
            total_BQ = total_BQ + word_BQ
            residual_BQ = residual_BQ - word_BQ.detach()
        straight_BQ = h_BQ + (total_BQ - h_BQ).detach()
        return Quantized(torch.stack(codes, 1), straight_BQ, last_BQ, torch.stack(losses).mean())

    @torch.no_grad()
    def residuals(self, h_BQ: Tensor, level: int) -> Tensor:
        """What level ``level`` has to quantize."""
        for codebook_KQ in self.codewords_LKQ[:level]:
            h_BQ = h_BQ - codebook_KQ[nearest(h_BQ, codebook_KQ)]
        return h_BQ

    @torch.no_grad()
    def start_from_kmeans(self, h_NQ: Tensor, generator: torch.Generator, steps: int = 10) -> None:
        """Start each level at the k-means centres of what the levels before it leave over."""
        for level, codebook_KQ in enumerate(self.codewords_LKQ):
            codebook_KQ.copy_(
                kmeans(self.residuals(h_NQ, level), len(codebook_KQ), generator, steps)
            )

    @torch.no_grad()
    def reseed_dead_codes(self, h_NQ: Tensor, generator: torch.Generator) -> int:
        """Move every codeword that no vector uses onto a random vector; how many were dead."""
        dead = 0
        for level, codebook_KQ in enumerate(self.codewords_LKQ):
            residual_NQ = self.residuals(h_NQ, level)
            used_K = nearest(residual_NQ, codebook_KQ).bincount(minlength=len(codebook_KQ))
            unused_J = (used_K == 0).nonzero().flatten()
            picks_J = torch.randint(len(residual_NQ), unused_J.shape, generator=generator)
            codebook_KQ[unused_J] = residual_NQ[picks_J]
            dead += len(unused_J)
        return dead


class Branches(NamedTuple):
    """The two encodings of a batch of one modality."""

    specific_BQ: Tensor  # h^S
    bound_BQ: Tensor  # h^B


class Quantizer(nn.Module):
    """Disentangling encoders, the shared codebook, decoders, CLUB estimators and z_ID.

    ``input_sizes``: the length of each modality's vectors; inputs are expected standardised.
    """

    def __init__(
        self,
        space: CodeSpace,
        input_sizes: Mapping[Modality, int],
        catalogue_size: int,
        hidden_size: int,
    ) -> None:
        super().__init__()
        self.space = space
        size = space.vector_size
        content = [m for m in space.modalities if m is not Modality.BEHAVIOUR]
        self.bound = nn.ModuleDict(
            {m: _mlp(input_sizes[m], hidden_size, size) for m in space.modalities}
        )
        self.specific = nn.ModuleDict({m: _mlp(input_sizes[m], hidden_size, size) for m in content})
        self.decoders = nn.ModuleDict(
            {
                m: _mlp(2 * size if m in self.specific else size, hidden_size, input_sizes[m])
                for m in space.modalities
            }
        )
        self.clubs = nn.ModuleDict({m: Club(size, size, hidden_size) for m in content})
        self.codebook = ResidualCodebook(space)
        self.id_residual = nn.Embedding(catalogue_size, size)
        nn.init.normal_(self.id_residual.weight, std=0.02)

    def branches(self, modality: Modality, x_BX: Tensor) -> Branches:
        """Encode one modality. Behaviour has no specific branch: it is all behaviour."""
        bound_BQ = self.bound[modality](x_BX)
        if modality not in self.specific:
            return Branches(bound_BQ.new_zeros(len(x_BX), 0), bound_BQ)
        return Branches(self.specific[modality](x_BX), bound_BQ)

    def decode(self, modality: Modality, specific_BQ: Tensor, vectors_BQ: Tensor) -> Tensor:
        """Reconstruct the modality's input from [h^S ; quantized h^B]."""
        x_BX: Tensor = self.decoders[modality](torch.cat([specific_BQ, vectors_BQ], dim=-1))
        return x_BX

    def estimator_parameters(self) -> list[nn.Parameter]:
        """Parameters of the CLUB estimators, which have a step of their own."""
        return list(self.clubs.parameters())

    def encoder_parameters(self) -> list[nn.Parameter]:
        """All other parameters."""
        own = {id(parameter) for parameter in self.clubs.parameters()}
        return [parameter for parameter in self.parameters() if id(parameter) not in own]


def nearest(x_BQ: Tensor, codebook_KQ: Tensor) -> Tensor:
    """Index of the nearest codeword, (B,)."""
    found_B: Tensor = (codebook_KQ.square().sum(-1) - 2 * x_BQ @ codebook_KQ.T).argmin(-1)
    return found_B


def kmeans(x_NQ: Tensor, centres: int, generator: torch.Generator, steps: int) -> Tensor:
    """Lloyd's algorithm from random points, (centres, Q); an empty centre is moved at random."""
    start = torch.randperm(len(x_NQ), generator=generator)
    centres_KQ = x_NQ[start[torch.arange(centres) % len(x_NQ)]].clone()
    for _ in range(steps):
        own_N = nearest(x_NQ, centres_KQ)
        count_K = own_N.bincount(minlength=centres)
        sum_KQ = torch.zeros_like(centres_KQ).index_add_(0, own_N, x_NQ)
        picks_K = torch.randint(len(x_NQ), (centres,), generator=generator)
        centres_KQ = torch.where(
            (count_K > 0)[:, None], sum_KQ / count_K.clamp_min(1)[:, None], x_NQ[picks_K]
        )
    return centres_KQ


def _mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.LayerNorm(hidden), nn.GELU(), nn.Linear(hidden, outputs)
    )
