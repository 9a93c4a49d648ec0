"""The sequence model: a history's codes -> one user vector; items -> item vectors.

A score is the inner product of the two, so any maximum-inner-product index serves it.
"""

from pathlib import Path
from typing import Self

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from models.attention import Block
from models.config import SequenceConfig
from models.similarity import SimilarityBuckets


class SequenceModel(nn.Module):
    """Item representation, blocks, and the item head. Shapes: the legend in models/types.py.

    An item is the sum of its code embeddings and of z_ID, its own learnable ID residual, which is
    null for an item that training never saw. ``forward`` is the graph that is exported.
    """

    seen: Tensor

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        self.config = config
        space = config.code_space
        self.code_embedding = nn.Embedding(space.slots * (space.codebook_size + 1), config.width)
        self.id_embedding = nn.Embedding(config.catalogue_size + 1, config.width)
        self.register_buffer("seen", torch.zeros(config.catalogue_size + 1, 1))
        self.buckets = SimilarityBuckets(space, config.buckets)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.final_norm = nn.LayerNorm(config.width)
        nn.init.normal_(self.code_embedding.weight, std=0.02 / space.slots**0.5)
        nn.init.normal_(self.id_embedding.weight, std=0.02)

    @classmethod
    def load(cls, weights: Path, config: SequenceConfig) -> Self:
        """A model in evaluation mode from a bundle's ``weights.safetensors``."""
        model = cls(config)
        model.load_state_dict(load_file(weights))
        return model.eval()

    def forward(self, codes_BTS: Tensor, item_index_BT: Tensor, history_length_B: Tensor) -> Tensor:
        """One user vector a history, (B, D).

        codes_BTS, item_index_BT: integers, padded on the right with any valid values.
        history_length_B: real items of each history, at least 1.
        """
        codes_BTS = codes_BTS.long()
        hidden_BTD = self.encode(self.represent(codes_BTS, item_index_BT), codes_BTS)
        rows_B = torch.arange(hidden_BTD.shape[0], device=hidden_BTD.device)
        return hidden_BTD[rows_B, history_length_B - 1]

    def represent(
        self, codes_BTS: Tensor, item_index_BT: Tensor, id_mask: Tensor | None = None
    ) -> Tensor:
        """Item vectors, (..., D), of any leading shape.

        ``id_mask`` (..., 1) hides the z_ID of chosen items: ID dropout, which teaches the model to
        live without it, as it must for an item nobody has clicked yet.
        """
        space = self.config.code_space
        offsets_S = torch.arange(space.slots, device=codes_BTS.device) * (space.codebook_size + 1)
        content = self.code_embedding(codes_BTS + offsets_S).sum(-2)
        own = self.id_embedding(item_index_BT) * self.seen[item_index_BT]
        if id_mask is not None:
            own = own * id_mask
        vectors: Tensor = content + own
        return vectors

    def encode(self, items_BTD: Tensor, codes_BTS: Tensor) -> Tensor:
        """A user vector after every item of the history, (B, T, D)."""
        reweighted = self.config.reweighting != "off"
        buckets_BPTT = self.buckets(codes_BTS) if reweighted else None
        scale = items_BTD.shape[-1] ** 0.5
        x_BTD = self.dropout(items_BTD * scale)
        for block in self.blocks:
            x_BTD = block(x_BTD, buckets_BPTT)
        normed_BTD: Tensor = self.final_norm(x_BTD)
        return normed_BTD
