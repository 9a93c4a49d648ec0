"""The reweighted sequence model: a user's history of items -> a vector that scores the next one."""

from pathlib import Path
from typing import Self

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from models.contract.config import SequenceConfig
from models.nets.attention import Relation, distances
from models.nets.behaviour_tower import BehaviourTower
from models.nets.similarity import SimilarityBuckets
from models.nets.tower import AttentionTower, Tower


class SequenceModel(nn.Module):
    """Towers beside each other, and the item head. Shapes: the legend in models/contract/types.py.

    Item and user vectors are the towers' vectors one after another, so that their inner product is
    the sum of the towers' scores (late fusion, EnsRec's lead). ``forward`` is what is exported.
    """

    seen: Tensor

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("seen", torch.zeros(config.catalogue_size + 1, 1))
        if config.reweighting != "off":
            self.buckets = SimilarityBuckets(config.code_space, config.buckets, config.edges)
        self.towers = nn.ModuleList(
            BehaviourTower(config) if "behaviour" in sources else AttentionTower(config, sources)
            for sources in config.towers
        )

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
        items_BTD = self.read(codes_BTS, item_index_BT)
        return self.encode(items_BTD, codes_BTS, history_length_B - 1)[:, 0]

    def read(self, codes_BTS: Tensor, item_index_BT: Tensor) -> Tensor:
        """Item vectors of histories, (..., D), of any leading shape."""
        known = F.embedding(item_index_BT, self.seen)
        return torch.cat([t.read(codes_BTS, item_index_BT, known) for t in self.each()], -1)

    def represent(self, codes_BTS: Tensor, item_index_BT: Tensor) -> Tensor:
        """Item vectors that user vectors score, (..., D), of any leading shape."""
        known = F.embedding(item_index_BT, self.seen)
        return torch.cat([t.represent(codes_BTS, item_index_BT, known) for t in self.each()], -1)

    def encode(self, items_BTD: Tensor, codes_BTS: Tensor, row_B: Tensor | None = None) -> Tensor:
        """User vectors, (B, R, D): after every item, or after the one that ``row_B`` names.

        Then the last block computes that row alone, and with one block no other is ever asked for.
        """
        last = self._relate(codes_BTS, row_B)
        all_needed = row_B is not None and self.config.blocks > 1
        inner = self._relate(codes_BTS) if all_needed else last
        parts = torch.split(items_BTD, self.config.width, dim=-1)
        towers = zip(self.towers, parts, strict=True)
        return torch.cat([tower(x_BTW, inner, last, row_B) for tower, x_BTW in towers], dim=-1)

    def borrow(self, codes_NS: Tensor, near_NK: Tensor, share_N: Tensor) -> None:
        """Once trained: let items borrow ``share`` of the mean vector of those they are near to.

        An item that has borrowed has residuals, seen in training or not.
        """
        size = len(near_NK)
        for tower in self.each():
            tower.borrow(codes_NS, self.seen[:size], near_NK, share_N[:, None])
        self.seen[:size][share_N > 0] = 1.0

    def _relate(self, codes_BTS: Tensor, row_B: Tensor | None = None) -> Relation:
        reweighted = self.config.reweighting != "off"
        buckets = self.buckets(codes_BTS, row_B) if reweighted else None
        return Relation(distances(codes_BTS, row_B), buckets)

    def each(self) -> list[Tower]:
        """The towers, as what they are."""
        return [tower for tower in self.towers if isinstance(tower, Tower)]
