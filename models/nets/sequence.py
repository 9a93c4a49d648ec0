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
from models.nets.words import WordVectors


class SequenceModel(nn.Module):
    """Towers beside each other, and the item head. Shapes: the legend in models/contract/types.py.

    Item and user vectors are the towers' vectors one after another, so that their inner product is
    the sum of the towers' scores (late fusion, EnsRec's lead). ``HistoryEncoder`` is what is
    exported of it.
    """

    seen: Tensor

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("seen", torch.zeros(config.catalogue_size + 1, 1))
        if config.reweighting != "off":
            self.buckets = SimilarityBuckets(config.code_space, config.buckets, config.edges)
        self.towers = nn.ModuleList(
            BehaviourTower(config, words="words" in sources)
            if "behaviour" in sources
            else AttentionTower(config, sources)
            for sources in config.towers
        )

    @classmethod
    def load(cls, weights: Path, config: SequenceConfig) -> Self:
        """A model in evaluation mode from the weights that training left."""
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

    def word_vectors(self) -> WordVectors:
        """What each word adds to an item's vectors, until words are folded."""
        scored = self._beside([tower.word_vectors() for tower in self.each()])
        return WordVectors(scored, self._beside([t.read_word_vectors() for t in self.each()]))

    def _beside(self, of_each: list[Tensor | None]) -> Tensor:
        """(V, D) of vectors (V, W) a tower, zero where a tower has none."""
        words = max((len(vectors) for vectors in of_each if vectors is not None), default=0)
        nothing = self.seen.new_zeros(words, self.config.width)
        parts = [nothing if vectors is None else vectors for vectors in of_each]
        return torch.cat(parts, -1).detach().cpu().contiguous()

    def borrow(self, codes_NS: Tensor, near_NK: Tensor, share_N: Tensor) -> None:
        """Once trained: let items borrow ``share`` of the mean vector of those they are near to.

        An item that has borrowed has residuals, seen in training or not.
        """
        size = len(near_NK)
        for tower in self.each():
            tower.borrow(codes_NS, self.seen[:size], near_NK, share_N[:, None])
        self.seen[:size][share_N > 0] = 1.0

    def has_free_column(self) -> bool:
        """Whether there is room for an offset."""
        return any(tower.free_column() is not None for tower in self.each())

    def calibration(self, scale: float, offset: float) -> tuple[Tensor, Tensor]:
        """(D,) each: what makes scale x a score + offset of a new item's vector, by x and +.

        A tower without residuals has no room for either. Raises ValueError where no tower has a
        free column and there is an offset.
        """
        scales_D = torch.ones(self.config.vector_size)
        offset_D = torch.zeros(self.config.vector_size)
        width, free = self.config.width, list[int]()
        for n, tower in enumerate(self.each()):
            if tower.residuals():
                scales_D[n * width : (n + 1) * width] = scale
            if (column := tower.free_column()) is not None:
                free.append(n * width + column)
        if offset and not free:
            raise ValueError("no tower of behaviour: there is no column for an offset")
        offset_D[free[:1]] = offset / width**0.5
        return scales_D, offset_D

    def calibrate(self, codes_NS: Tensor, new_N: Tensor, scale: float, offset: float) -> None:
        """Once trained: let new items' scores become scale x themselves + offset."""
        size, width = len(new_N), self.config.width
        _, offset_D = self.calibration(scale, offset)
        offsets = torch.split(offset_D.to(new_N.device), width)
        for tower, offset_W in zip(self.each(), offsets, strict=True):
            tower.set_free(width**0.5)
            tower.calibrate(codes_NS, self.seen[:size], new_N[:, None], scale, offset_W)
        self.seen[:size][new_N > 0] = 1.0

    def _relate(self, codes_BTS: Tensor, row_B: Tensor | None = None) -> Relation:
        reweighted = self.config.reweighting != "off"
        buckets = self.buckets(codes_BTS, row_B) if reweighted else None
        return Relation(distances(codes_BTS, row_B), buckets)

    def each(self) -> list[Tower]:
        """The towers, of their type."""
        return [tower for tower in self.towers if isinstance(tower, Tower)]


class HistoryEncoder(nn.Module):
    """What is exported and served: histories, as codes and item vectors -> user vectors.

    It holds no table of items, so it does not grow with the catalogue, and an item that came after
    training is encoded like any other. What it reads of an item is ``SequenceModel.read``, which a
    bundle keeps as a table of its own.
    """

    def __init__(self, model: SequenceModel) -> None:
        super().__init__()
        self.model = model

    @classmethod
    def load(cls, weights: Path, config: SequenceConfig) -> Self:
        """In evaluation mode, from a bundle's weights. Raises ValueError where they are not its."""
        model = SequenceModel(config.model_copy(update={"catalogue_size": 1}))
        found = model.load_state_dict(load_file(weights), strict=False)
        if found.unexpected_keys or set(found.missing_keys) != item_tables(config):
            raise ValueError(f"{weights} holds weights of another model")
        return cls(model).eval()

    def weights(self) -> dict[str, Tensor]:
        """All but what a catalogue's items have for themselves: what ``load`` takes."""
        tables = item_tables(self.model.config)
        whole = self.model.state_dict().items()
        return {name: weight.contiguous() for name, weight in whole if name not in tables}

    def forward(self, codes_BTS: Tensor, items_BTD: Tensor, history_length_B: Tensor) -> Tensor:
        """One user vector a history, (B, D).

        codes_BTS, items_BTD: padded on the right with any valid values. history_length_B: real
        items of each history, at least 1.
        """
        return self.model.encode(items_BTD, codes_BTS.long(), history_length_B - 1)[:, 0]


def item_tables(config: SequenceConfig) -> set[str]:
    """Names of the weights that have a row an item: models of one and of two items tell."""
    with torch.device("meta"):
        sizes = ({"catalogue_size": 1}, {"catalogue_size": 2})
        one, two = (SequenceModel(config.model_copy(update=s)).state_dict() for s in sizes)
    return {name for name, weight in one.items() if weight.shape != two[name].shape}
