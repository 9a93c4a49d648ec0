"""What an attention tower sees of an item: vectors from sources that are added up.

Each source is one way from an item to a vector of width W, with what happens to it before and
after training. Shapes: the legend in models/contract/types.py.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from models.contract.config import SequenceConfig, Source
from models.nets.words import ItemWords, WordBag


class ItemSource(nn.Module):
    """Vectors of items, (..., W), of any leading shape."""

    def forward(self, codes_BTS: Tensor, item_index_BT: Tensor, known_BT1: Tensor) -> Tensor:
        """Vectors of these items; ``known`` is 1 where training saw the item, or it borrowed."""
        raise NotImplementedError

    def start_from_codewords(self, codewords_MLKQ: Tensor) -> None:
        """Before training: let items whose quantized vectors are alike start alike."""

    def learn_words(self, item_words: ItemWords) -> None:
        """Before training: make word vectors sums of learnable ones."""

    def fold_words(self) -> None:
        """After training: keep the sums, all that is needed from then on."""

    def word_vectors(self) -> Tensor | None:
        """(V, W): what each word adds, if this source is of words that are being learned."""
        return None

    def residual(self) -> nn.Embedding | None:
        """The table of what items have for themselves, if this source is one."""
        return None

    def code_vectors(self) -> Tensor | None:
        """(S, K + 1, W): what each code of each slot adds, if this source is of codes."""
        return None


class CodeSource(ItemSource):
    """An item's code vector: the sum of its codes' embeddings."""

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        self.space = config.code_space
        codes = self.space.slots * (self.space.codebook_size + 1)
        self.embedding = nn.Embedding(codes, config.width)
        nn.init.normal_(self.embedding.weight, std=0.02 / self.space.slots**0.5)

    def forward(self, codes_BTS: Tensor, item_index_BT: Tensor, known_BT1: Tensor) -> Tensor:
        """Code vectors; a slot has embeddings of its own, the null code's among them."""
        offsets_S = torch.arange(self.space.slots, device=codes_BTS.device)
        places_BTS = codes_BTS + offsets_S * (self.space.codebook_size + 1)
        codes_BTW: Tensor = self.embedding(places_BTS).sum(-2)
        return codes_BTW

    def code_vectors(self) -> Tensor:
        """Its embeddings, by slot."""
        return self.embedding.weight.view(self.space.slots, -1, self.embedding.embedding_dim)

    @torch.no_grad()
    def start_from_codewords(self, codewords_MLKQ: Tensor) -> None:
        """Start code embeddings as a random rotation of codewords, of the size of z_ID."""
        width = self.embedding.embedding_dim
        rotation_QW = torch.randn(self.space.vector_size, width)
        start_MLKW = codewords_MLKQ @ rotation_QW
        start_MLKW *= 0.02 / (start_MLKW.square().sum(1).mean().sqrt() + 1e-12)
        shape = (len(self.space.modalities), self.space.levels, self.space.codebook_size + 1, -1)
        self.embedding.weight.view(shape)[:, :, :-1] = start_MLKW


class WordSource(ItemSource):
    """An item's word vector: the sum of its words' vectors while they are learned, then a table."""

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        self.items, self.width = config.catalogue_size, config.width
        self.vectors: nn.Embedding | WordBag = self._table()

    def forward(self, codes_BTS: Tensor, item_index_BT: Tensor, known_BT1: Tensor) -> Tensor:
        """Word vectors."""
        words_BTW: Tensor = self.vectors(item_index_BT)
        return words_BTW

    def learn_words(self, item_words: ItemWords) -> None:
        """Learn a vector a word."""
        self.vectors = WordBag(item_words, self.width)

    def fold_words(self) -> None:
        """Keep the sums."""
        if isinstance(self.vectors, WordBag):
            sums_NW = self.vectors.table()
            self.vectors = self._table()
            self.vectors.weight.data.copy_(sums_NW)

    def word_vectors(self) -> Tensor | None:
        """Of its words, until they are folded."""
        return self.vectors.embedding.weight if isinstance(self.vectors, WordBag) else None

    def _table(self) -> nn.Embedding:
        table = nn.Embedding(self.items + 1, self.width)
        nn.init.zeros_(table.weight)
        return table


class IdSource(ItemSource):
    """z_ID, an item's own learnable vector: null for one that training never saw."""

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.catalogue_size + 1, config.width)
        nn.init.normal_(self.embedding.weight, std=0.02)

    def forward(self, codes_BTS: Tensor, item_index_BT: Tensor, known_BT1: Tensor) -> Tensor:
        """z_ID of known items, zero for others."""
        own_BTW: Tensor = self.embedding(item_index_BT) * known_BT1
        return own_BTW

    def residual(self) -> nn.Embedding:
        """z_ID."""
        return self.embedding


# In this order they are drawn and added, whatever the order in which a tower names them.
_KINDS: dict[Source, Callable[[SequenceConfig], ItemSource]] = {
    "codes": CodeSource,
    "words": WordSource,
    "id": IdSource,
}


class ItemSources(nn.ModuleDict):
    """The sources of one tower, by name."""

    def __init__(self, config: SequenceConfig, names: Sequence[Source]) -> None:
        super().__init__({name: make(config) for name, make in _KINDS.items() if name in names})

    def forward(self, codes_BTS: Tensor, item_index_BT: Tensor, known_BT1: Tensor) -> Tensor:
        """The sum of what the sources say, (..., W)."""
        first, *others = (source(codes_BTS, item_index_BT, known_BT1) for source in self.each())
        total_BTW: Tensor = sum(others, start=first)
        return total_BTW

    def each(self) -> list[ItemSource]:
        """The sources, of their type."""
        return [source for source in self.values() if isinstance(source, ItemSource)]
