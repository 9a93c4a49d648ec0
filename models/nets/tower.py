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
from models.nets.sources import ItemSource, ItemSources
from models.nets.words import ItemWords


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

    def item_sources(self) -> list[ItemSource]:
        """What it knows of items beside vectors of its own."""
        return []

    def start_from_codewords(self, codewords_MLKQ: Tensor) -> None:
        """Before training: let items whose quantized vectors are alike start alike."""
        for source in self.item_sources():
            source.start_from_codewords(codewords_MLKQ)

    def learn_words(self, item_words: ItemWords) -> None:
        """Before training: make word vectors sums of learnable ones."""
        for source in self.item_sources():
            source.learn_words(item_words)

    def fold_words(self) -> None:
        """After training: keep the sums, all that is needed from then on."""
        for source in self.item_sources():
            source.fold_words()

    def word_vectors(self) -> Tensor | None:
        """(V, W): what each word adds to what is scored, until words are folded, if anything."""
        return None

    def read_word_vectors(self) -> Tensor | None:
        """(V, W): the same of what is read of a history."""
        return self.word_vectors()

    def residuals(self) -> list[tuple[nn.Embedding, Callable[..., Tensor]]]:
        """Tables of what items have for themselves, each with the vectors that it is a part of.

        That of the vectors that are scored comes first.
        """
        return []

    def free_column(self) -> int | None:
        """The column of its vectors, if any, that training leaves at zero."""
        return None

    def set_free(self, size: float) -> None:
        """After training: every user vector has ``size`` in the free column."""

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

    @torch.no_grad()
    def calibrate(
        self, codes_NS: Tensor, known_N1: Tensor, new_N1: Tensor, scale: float, offset_W: Tensor
    ) -> None:
        """After training: what is scored of new items becomes scale x itself + offset."""
        size = len(new_N1)
        for place, (table, vectors) in enumerate(self.residuals()):
            table.weight[:size] *= known_N1  # what training never moved is noise
            if place == 0:
                whole_NW = vectors(codes_NS, torch.arange(size, device=new_N1.device), known_N1)
                table.weight[:size] += new_N1 * ((scale - 1) * whole_NW + offset_W)


class AttentionTower(Tower):
    """Item vectors that blocks of reweighted attention turn into a user vector.

    An item is the sum of what the tower sees of it (models/nets/sources.py).
    """

    def __init__(self, config: SequenceConfig, sources: Sequence[Source]) -> None:
        super().__init__()
        self.width = config.width
        self.sources = ItemSources(config, sources)
        kind = Block if config.block == "ligr" else SasRecBlock
        self.blocks = nn.ModuleList(kind(config) for _ in range(config.blocks))
        self.dropout = Dropout(config.dropout)
        self.final_norm = nn.LayerNorm(self.width)
        self.position: nn.Parameter | None = None  # LiGR's block knows places from distances
        if config.block == "sasrec":
            self.position = nn.Parameter(torch.randn(config.max_history, self.width) * 0.02)

    def represent(self, codes_BTS: Tensor, item_index_BT: Tensor, known_BT1: Tensor) -> Tensor:
        """Item vectors, (..., W), the same for scoring and reading; z_ID only where ``known``."""
        total_BTW: Tensor = self.sources(codes_BTS, item_index_BT, known_BT1)
        return total_BTW

    def forward(
        self, items_BTW: Tensor, inner: Relation, last: Relation, row_B: Tensor | None = None
    ) -> Tensor:
        """User vectors, (B, T, W) -> (B, R, W)."""
        x_BTW = items_BTW * self.width**0.5
        if self.position is not None:
            x_BTW = x_BTW + self.position[: x_BTW.shape[1]]
        x_BTW = self.dropout(x_BTW)
        for block in self.blocks[:-1]:
            x_BTW = block(x_BTW, inner)
        normed_BRW: Tensor = self.final_norm(self.blocks[-1](x_BTW, last, row_B))
        return normed_BRW

    def item_sources(self) -> list[ItemSource]:
        """The sources whose vectors are summed."""
        return self.sources.each()

    def word_vectors(self) -> Tensor | None:
        """(V, W): what each word adds to an item's vector, until words are folded."""
        of_each = (source.word_vectors() for source in self.sources.each())
        return next((vectors for vectors in of_each if vectors is not None), None)

    def residuals(self) -> list[tuple[nn.Embedding, Callable[..., Tensor]]]:
        """The table of z_ID, if it has one."""
        tables = (source.residual() for source in self.sources.each())
        return [(table, self.represent) for table in tables if table is not None]

    def code_vectors(self) -> Tensor | None:
        """(S, K + 1, W): what each code adds to an item's vector, if it sees codes."""
        of_each = (source.code_vectors() for source in self.sources.each())
        return next((vectors for vectors in of_each if vectors is not None), None)
