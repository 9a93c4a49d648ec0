"""The quantizer: behaviour-bound codes from content (docs/method.md, section 2).

Per modality, one encoder keeps what is specific to it (h^S) and one what binds to behaviour (h^B);
CLUB pushes them apart. All h^B, and the behaviour vector, share one residual codebook (or, as an
ablation, have one each). Each modality is decoded from both branches, so neither can go constant to
please CLUB.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Self

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from models.contract.config import CodeSpace
from models.contract.types import BEHAVIOUR, Modality
from models.nets.club import Club

_AT_ONCE = 65_536  # vectors whose distances to all codewords are held at a time
_KMEANS_SAMPLE = 200_000


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
            code_B = nearest(residual_BQ, codebook_KQ)
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

    def diversity(self, h_BQ: Tensor) -> Tensor:
        """How far codes are from being used evenly, in nats, a mean over levels; 0 is best.

        log K minus the entropy of the batch's mean soft assignment, which unlike a count of codes
        has a gradient. Distances are taken relative to the batch's mean distance.
        """
        shortfalls = []
        for codebook_KQ in self.codewords_LKQ:
            distance_BK = torch.cdist(h_BQ, codebook_KQ).square()
            use_K = (-10 * distance_BK / distance_BK.detach().mean()).softmax(-1).mean(0)
            entropy = -(use_K * use_K.clamp_min(1e-12).log()).sum()
            shortfalls.append(torch.log(torch.tensor(float(len(use_K)))) - entropy)
            h_BQ = h_BQ - F.embedding(nearest(h_BQ, codebook_KQ), codebook_KQ).detach()
        return torch.stack(shortfalls).mean()

    @torch.no_grad()
    def residuals(self, h_BQ: Tensor, level: int) -> Tensor:
        """What level ``level`` has to quantize."""
        for codebook_KQ in self.codewords_LKQ[:level]:
            h_BQ = h_BQ - codebook_KQ[nearest(h_BQ, codebook_KQ)]
        return h_BQ

    @torch.no_grad()
    def start_from_kmeans(self, h_NQ: Tensor, steps: int = 10) -> None:
        """Start each level at the k-means centres of what the levels before it leave over."""
        sample_NQ = h_NQ[torch.randperm(len(h_NQ))[:_KMEANS_SAMPLE]]
        for level, codebook_KQ in enumerate(self.codewords_LKQ):
            codebook_KQ.copy_(kmeans(self.residuals(sample_NQ, level), len(codebook_KQ), steps))

    @torch.no_grad()
    def reseed_dead_codes(self, h_NQ: Tensor, move: bool = True) -> int:
        """Move every codeword that no vector uses onto a random vector; how many were dead."""
        dead = 0
        for level, codebook_KQ in enumerate(self.codewords_LKQ):
            residual_NQ = self.residuals(h_NQ, level)
            used_K = nearest(residual_NQ, codebook_KQ).bincount(minlength=len(codebook_KQ))
            unused_J = (used_K == 0).nonzero().flatten()
            if move:
                picks_J = torch.randint(len(residual_NQ), unused_J.shape)
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
        shared_codebook: bool = True,
    ) -> None:
        super().__init__()
        self.space = space
        size = space.vector_size
        content = [m for m in space.modalities if m != BEHAVIOUR]
        # By place, not by name: a module's child cannot be called "type" or "values".
        self.bound = nn.ModuleList(
            _mlp(input_sizes[m], hidden_size, size) for m in space.modalities
        )
        self.specific = nn.ModuleList(_mlp(input_sizes[m], hidden_size, size) for m in content)
        self.decoders = nn.ModuleList(
            _mlp(2 * size if m in content else size, hidden_size, input_sizes[m])
            for m in space.modalities
        )
        self.clubs = nn.ModuleList(Club(size, size, hidden_size) for _ in content)
        books = 1 if shared_codebook else len(space.modalities)
        self.codebooks = nn.ModuleList(ResidualCodebook(space) for _ in range(books))
        self.id_residual = nn.Embedding(catalogue_size, size)
        nn.init.normal_(self.id_residual.weight, std=0.02)

    @classmethod
    def load(cls, weights: Path, space: CodeSpace) -> Self:
        """In evaluation mode, from the weights that training left."""
        state = load_file(weights)
        inputs = {m: state[f"bound.{n}.0.weight"].shape[1] for n, m in enumerate(space.modalities)}
        items, hidden = len(state["id_residual.weight"]), len(state["bound.0.0.weight"])
        books = sum(name.startswith("codebooks.") for name in state)
        quantizer = cls(space, inputs, items, hidden, shared_codebook=books == 1)
        quantizer.load_state_dict(state)
        return quantizer.eval()

    def codebook(self, modality: Modality) -> ResidualCodebook:
        """The codebook of a modality: the one that all share, or its own."""
        book = self.codebooks[self._place(modality) % len(self.codebooks)]
        assert isinstance(book, ResidualCodebook)
        return book

    def codewords(self) -> Tensor:
        """All codewords, (M, L, K, Q); M is 1 where modalities share them."""
        return torch.stack([book.codewords_LKQ.detach() for book in self.distinct_codebooks()])

    def distinct_codebooks(self) -> list[ResidualCodebook]:
        """Each codebook once."""
        return list(dict.fromkeys(self.codebook(modality) for modality in self.space.modalities))

    def club(self, modality: Modality) -> Club | None:
        """The estimator that pushes a modality's branches apart; behaviour has one branch only."""
        if modality == BEHAVIOUR:
            return None
        club = self.clubs[self._place(modality)]
        assert isinstance(club, Club)
        return club

    def branches(self, modality: Modality, x_BX: Tensor) -> Branches:
        """Encode one modality. Behaviour has no specific branch: it is all behaviour."""
        place = self._place(modality)
        bound_BQ: Tensor = self.bound[place](x_BX)
        if modality == BEHAVIOUR:
            return Branches(bound_BQ.new_zeros(len(x_BX), 0), bound_BQ)
        return Branches(self.specific[place](x_BX), bound_BQ)

    def decode(self, modality: Modality, specific_BQ: Tensor, vectors_BQ: Tensor) -> Tensor:
        """Reconstruct the modality's input from [h^S ; quantized h^B]."""
        decoder = self.decoders[self._place(modality)]
        x_BX: Tensor = decoder(torch.cat([specific_BQ, vectors_BQ], dim=-1))
        return x_BX

    def _place(self, modality: Modality) -> int:
        """Where its modules stand: behaviour comes last, so content alone is numbered alike."""
        return self.space.modalities.index(modality)

    def estimator_parameters(self) -> list[nn.Parameter]:
        """Parameters of the CLUB estimators, which have a step of their own."""
        return list(self.clubs.parameters())

    def encoder_parameters(self) -> list[nn.Parameter]:
        """All other parameters."""
        own = {id(parameter) for parameter in self.clubs.parameters()}
        return [parameter for parameter in self.parameters() if id(parameter) not in own]


@torch.no_grad()
def nearest(x_BQ: Tensor, codebook_KQ: Tensor) -> Tensor:
    """Index of the nearest codeword, (B,); a slice at a time, so that a catalogue fits."""
    size_K = codebook_KQ.square().sum(-1)
    return torch.cat(
        [(size_K - 2 * x_CQ @ codebook_KQ.T).argmin(-1) for x_CQ in torch.split(x_BQ, _AT_ONCE)]
    )


def kmeans(x_NQ: Tensor, centres: int, steps: int) -> Tensor:
    """Lloyd's algorithm from random points, (centres, Q); an empty centre is moved at random."""
    start = torch.randperm(len(x_NQ))
    centres_KQ = x_NQ[start[torch.arange(centres) % len(x_NQ)]].clone()
    for _ in range(steps):
        own_N = nearest(x_NQ, centres_KQ)
        count_K = own_N.bincount(minlength=centres)
        sum_KQ = torch.zeros_like(centres_KQ).index_add_(0, own_N, x_NQ)
        picks_K = torch.randint(len(x_NQ), (centres,))
        centres_KQ = torch.where(
            (count_K > 0)[:, None], sum_KQ / count_K.clamp_min(1)[:, None], x_NQ[picks_K]
        )
    return centres_KQ


def _mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.LayerNorm(hidden), nn.GELU(), nn.Linear(hidden, outputs)
    )
