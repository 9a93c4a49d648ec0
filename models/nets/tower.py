"""A tower: vectors of its own for items, and a way from a history of them to a user vector.

Towers share nothing but the items' similarity buckets, so that what one learns by heart another may
not: their summed scores are better than any one's. Here: what every tower does, and the tower that
attends. Shapes: the legend in models/contract/types.py.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from models.contract.config import SequenceConfig, Source
from models.nets.attention import Block, Relation, SasRecBlock
from models.nets.dropout import Dropout
from models.nets.words import ItemWords, WordBag


class Tower(nn.Module):
    """Item vectors and user vectors of width W."""

    def represent(self, codes_BTS: Tensor, item_index_BT: Tensor, known_BT1: Tensor) -> Tensor:
        """Item vectors that are scored, (..., W), of any leading shape; z_ID where ``known``."""
        raise NotImplementedError

    def read(self, codes_BTS: Tensor, item_index_BT: Tensor, known_BT1: Tensor) -> Tensor:
        """Item vectors of a history, (..., W): those that are scored, unless a tower has others."""
        return self.represent(codes_BTS, item_index_BT, known_BT1)

    def forward(
        self, items_BTW: Tensor, inner: Relation, last: Relation, row_B: Tensor | None = None
    ) -> Tensor:
        """User vectors, (B, T, W) -> (B, R, W): after every item, or the one that ``row_B`` names.

        ``inner`` relates all rows to all, for every block but the last: that one alone knows which
        rows ask, since the others' rows are all seen by it.
        """
        raise NotImplementedError

    def start_from_codewords(self, codewords_MLKQ: Tensor) -> None:
        """Before training: let items whose quantized vectors are alike start alike."""

    def learn_words(self, item_words: ItemWords) -> None:
        """Before training: make word vectors sums of learnable ones."""

    def fold_words(self) -> None:
        """After training: keep the sums, all that is needed from then on."""

    def residuals(self) -> list[tuple[nn.Embedding, Callable[..., Tensor]]]:
        """Tables of what items have for themselves, each with the vectors that it is a part of."""
        return []

    def code_vectors(self) -> Tensor | None:
        """(S, K + 1, W): what each code of each slot adds to an item's vector, if any."""
        return None

    @torch.no_grad()
    def borrow(self, codes_NS: Tensor, known_N1: Tensor, near_NK: Tensor, share_N1: Tensor) -> None:
        """After training: residuals gain a share of the mean of other items' whole vectors."""
        size, lent = near_NK.shape
        for table, vectors in self.residuals():
            whole_NW = vectors(codes_NS, torch.arange(size, device=near_NK.device), known_N1)
            mean_NW = sum(whole_NW[near_N] for near_N in near_NK.T) / lent  # no (N, K, W) is held
            table.weight[:size] = table.weight[:size] * known_N1 + share_N1 * mean_NW


class AttentionTower(Tower):
    """Item vectors that blocks of reweighted attention turn into a user vector.

    An item is the sum of what the tower sees of it: its code vector, the sum of its code
    embeddings; its word vector; and z_ID, its own learnable ID residual, which is null for an item
    that training never saw, until it borrows.
    """

    def __init__(self, config: SequenceConfig, sources: Sequence[Source]) -> None:
        super().__init__()
        self.space = config.code_space
        self.items = config.catalogue_size
        self.width = config.width
        if "codes" in sources:
            codes = self.space.slots * (self.space.codebook_size + 1)
            self.code_embedding = nn.Embedding(codes, self.width)
            nn.init.normal_(self.code_embedding.weight, std=0.02 / self.space.slots**0.5)
        if "words" in sources:  # a WordBag while it is being learned
            self.word_vectors: nn.Module = self._word_table()
        if "id" in sources:
            self.id_embedding = nn.Embedding(self.items + 1, self.width)
            nn.init.normal_(self.id_embedding.weight, std=0.02)
        kind = Block if config.block == "ligr" else SasRecBlock
        self.blocks = nn.ModuleList(kind(config) for _ in range(config.blocks))
        self.dropout = Dropout(config.dropout)
        self.final_norm = nn.LayerNorm(self.width)
        if config.block == "sasrec":
            self.position = nn.Parameter(torch.randn(config.max_history, self.width) * 0.02)

    def represent(self, codes_BTS: Tensor, item_index_BT: Tensor, known_BT1: Tensor) -> Tensor:
        """Item vectors, (..., W), the same for scoring and reading; z_ID only where ``known``."""
        parts = []
        if hasattr(self, "code_embedding"):
            offsets_S = torch.arange(self.space.slots, device=codes_BTS.device)
            places_BTS = codes_BTS + offsets_S * (self.space.codebook_size + 1)
            parts.append(self.code_embedding(places_BTS).sum(-2))
        if hasattr(self, "word_vectors"):
            parts.append(self.word_vectors(item_index_BT))
        if hasattr(self, "id_embedding"):
            parts.append(self.id_embedding(item_index_BT) * known_BT1)
        total_BTW: Tensor = sum(parts[1:], start=parts[0])
        return total_BTW

    def forward(
        self, items_BTW: Tensor, inner: Relation, last: Relation, row_B: Tensor | None = None
    ) -> Tensor:
        """User vectors, (B, T, W) -> (B, R, W)."""
        x_BTW = items_BTW * self.width**0.5
        if hasattr(self, "position"):
            x_BTW = x_BTW + self.position[: x_BTW.shape[1]]
        x_BTW = self.dropout(x_BTW)
        for block in self.blocks[:-1]:
            x_BTW = block(x_BTW, inner)
        normed_BRW: Tensor = self.final_norm(self.blocks[-1](x_BTW, last, row_B))
        return normed_BRW

    @torch.no_grad()
    def start_from_codewords(self, codewords_MLKQ: Tensor) -> None:
        """Start code embeddings as a random rotation of codewords, of the size of z_ID."""
        if not hasattr(self, "code_embedding"):
            return
        rotation_QW = torch.randn(self.space.vector_size, self.width)
        start_MLKW = codewords_MLKQ @ rotation_QW
        start_MLKW *= 0.02 / (start_MLKW.square().sum(1).mean().sqrt() + 1e-12)
        shape = (len(self.space.modalities), self.space.levels, self.space.codebook_size + 1, -1)
        self.code_embedding.weight.view(shape)[:, :, :-1] = start_MLKW

    def learn_words(self, item_words: ItemWords) -> None:
        """Make the word vectors sums of learnable ones."""
        if hasattr(self, "word_vectors"):
            self.word_vectors = WordBag(item_words, self.width)

    def fold_words(self) -> None:
        """Keep the sums."""
        bag = getattr(self, "word_vectors", None)
        if isinstance(bag, WordBag):
            self.word_vectors = self._word_table()
            self.word_vectors.weight.data.copy_(bag.table())

    def residuals(self) -> list[tuple[nn.Embedding, Callable[..., Tensor]]]:
        """z_ID, of towers that have it."""
        return [(self.id_embedding, self.represent)] if hasattr(self, "id_embedding") else []

    def code_vectors(self) -> Tensor | None:
        """Its code embeddings."""
        if not hasattr(self, "code_embedding"):
            return None
        return self.code_embedding.weight.view(self.space.slots, -1, self.width)

    def _word_table(self) -> nn.Embedding:
        table = nn.Embedding(self.items + 1, self.width)
        nn.init.zeros_(table.weight)
        return table
