"""The reweighted sequence model: a user's history of items -> a vector that scores the next one."""

from pathlib import Path
from typing import Self

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from models.attention import Block, SasRecBlock
from models.config import SequenceConfig
from models.similarity import Buckets, SimilarityBuckets


class Tower(nn.Module):
    """Blocks over the vectors of a history's items: a user vector after every item."""

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        kind = Block if config.block == "ligr" else SasRecBlock
        self.blocks = nn.ModuleList(kind(config) for _ in range(config.blocks))
        self.dropout = nn.Dropout(config.dropout)
        self.final_norm = nn.LayerNorm(config.width)
        if config.block == "sasrec":
            self.position = nn.Parameter(torch.randn(config.max_history, config.width) * 0.02)

    def forward(self, items_BTW: Tensor, buckets: Buckets | None) -> Tensor:
        """(B, T, W) -> (B, T, W)."""
        x_BTW = items_BTW * items_BTW.shape[-1] ** 0.5
        if hasattr(self, "position"):
            x_BTW = x_BTW + self.position[: x_BTW.shape[1]]
        x_BTW = self.dropout(x_BTW)
        for block in self.blocks:
            x_BTW = block(x_BTW, buckets)
        normed_BTW: Tensor = self.final_norm(x_BTW)
        return normed_BTW


class SequenceModel(nn.Module):
    """Item representation, towers, and the item head. Shapes: the legend in models/types.py.

    An item is its code vector, the sum of its code embeddings, and z_ID, its own learnable ID
    residual, which is null for an item that training never saw. With late fusion (EnsRec's lead)
    each has a tower of its own; item and user vectors are the towers' vectors one after another,
    so that their inner product is the sum of the towers' scores. ``forward`` is what is exported.
    """

    seen: Tensor

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        self.config = config
        space = config.code_space
        sources = {source for sources in config.towers for source in sources}
        if "codes" in sources:
            codes = space.slots * (space.codebook_size + 1)
            self.code_embedding = nn.Embedding(codes, config.width)
            nn.init.normal_(self.code_embedding.weight, std=0.02 / space.slots**0.5)
        if "id" in sources:
            self.id_embedding = nn.Embedding(config.catalogue_size + 1, config.width)
            nn.init.normal_(self.id_embedding.weight, std=0.02)
        self.register_buffer("seen", torch.zeros(config.catalogue_size + 1, 1))
        if config.reweighting != "off":
            self.buckets = SimilarityBuckets(space, config.buckets, config.edges)
        self.towers = nn.ModuleList(Tower(config) for _ in config.towers)

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
        parts = {}
        if hasattr(self, "code_embedding"):
            parts["codes"] = self._code_vectors(codes_BTS)
        if hasattr(self, "id_embedding"):
            known = self.seen[item_index_BT]
            known = known if id_mask is None else known * id_mask
            parts["id"] = self.id_embedding(item_index_BT) * known
        seen = [torch.stack([parts[s] for s in tower]).sum(0) for tower in self.config.towers]
        return torch.cat(seen, dim=-1)

    def encode(self, items_BTD: Tensor, codes_BTS: Tensor) -> Tensor:
        """A user vector after every item of the history, (B, T, D)."""
        buckets = self.buckets(codes_BTS) if self.config.reweighting != "off" else None
        parts = torch.split(items_BTD, self.config.width, dim=-1)
        seen = (tower(x_BTW, buckets) for tower, x_BTW in zip(self.towers, parts, strict=True))
        return torch.cat(list(seen), dim=-1)

    def _code_vectors(self, codes_BTS: Tensor) -> Tensor:
        space = self.config.code_space
        offsets_S = torch.arange(space.slots, device=codes_BTS.device) * (space.codebook_size + 1)
        content: Tensor = self.code_embedding(codes_BTS + offsets_S).sum(-2)
        return content
