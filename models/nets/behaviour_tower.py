"""The behaviour tower: a history as the decayed sum of its items' behaviour vectors.

What recency-decayed item-kNN counts, learned and of low rank: it keeps which items follow which,
where attention keeps what a history is about, and their sum ranks better than either. Linear, so it
costs next to nothing, and its score is one more part of the inner product.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from models.contract.config import SequenceConfig
from models.nets.attention import Relation
from models.nets.dropout import Dropout
from models.nets.sources import ItemSource, WordSource
from models.nets.tower import Tower
from models.nets.words import ItemWords

_DECAYS = (0.6, 0.8, 0.9, 0.97)  # where each quarter of a vector starts to learn its own


class BehaviourTower(Tower):
    """Two vectors an item, one that is read and one that is scored: what leads to an item is not
    what it leads to. Both are null for an item that training never saw, until it borrows; with
    ``words``, both know what the item's words lead to, too.
    """

    def __init__(self, config: SequenceConfig, *, words: bool = False) -> None:
        super().__init__()
        self.groups = math.gcd(config.width, len(_DECAYS))
        self.read_embedding = nn.Embedding(config.catalogue_size + 1, config.width)
        self.id_embedding = nn.Embedding(config.catalogue_size + 1, config.width)
        for own in (self.read_embedding, self.id_embedding):
            nn.init.normal_(own.weight, std=0.02)
            _reserve(own.weight)
        self.decay = nn.Parameter(torch.logit(torch.tensor(_DECAYS[: self.groups])))
        self.size = nn.Parameter(torch.ones(self.groups, 1))
        self.anyone = nn.Parameter(torch.zeros(config.width))  # what popular items are scored with
        self.dropout = Dropout(config.dropout)
        self.weight = config.behaviour_weight
        self.scored_words = WordSource(config) if words else None
        self.read_words = WordSource(config) if words else None

    def represent(self, codes_BTS: Tensor, item_index_BT: Tensor, known_BT1: Tensor) -> Tensor:
        """Item vectors that are scored, (..., W)."""
        scored_BTW: Tensor = self.id_embedding(item_index_BT) * known_BT1
        if self.scored_words is not None:
            scored_BTW = scored_BTW + self.scored_words(codes_BTS, item_index_BT, known_BT1)
        return scored_BTW

    def read(self, codes_BTS: Tensor, item_index_BT: Tensor, known_BT1: Tensor) -> Tensor:
        """Item vectors of a history, (..., W)."""
        read_BTW: Tensor = self.read_embedding(item_index_BT) * known_BT1
        if self.read_words is not None:
            read_BTW = read_BTW + self.read_words(codes_BTS, item_index_BT, known_BT1)
        return read_BTW

    def item_sources(self) -> list[ItemSource]:
        """Its words' vectors, scored and read, if it sees words."""
        return [source for source in (self.scored_words, self.read_words) if source is not None]

    def learn_words(self, item_words: ItemWords) -> None:
        """Make the word vectors sums of learnable ones."""
        super().learn_words(item_words)
        for vectors_VW in (self.word_vectors(), self.read_word_vectors()):
            if vectors_VW is not None:
                _reserve(vectors_VW)

    def word_vectors(self) -> Tensor | None:
        """(V, W): what each word adds to what is scored, if it sees words."""
        return self.scored_words.word_vectors() if self.scored_words is not None else None

    def read_word_vectors(self) -> Tensor | None:
        """(V, W): what each word adds to what is read, if it sees words."""
        return self.read_words.word_vectors() if self.read_words is not None else None

    def free_column(self) -> int:
        """The last column."""
        return self.anyone.shape[0] - 1

    @torch.no_grad()
    def set_free(self, size: float) -> None:
        """Let every user vector have ``size`` there, weighed as it is when towers do not learn."""
        self.anyone[self.free_column()] = size / self.weight

    def residuals(self) -> list[tuple[nn.Embedding, Callable[..., Tensor]]]:
        """The tables of what is scored and of what is read."""
        return [(self.id_embedding, self.represent), (self.read_embedding, self.read)]

    def forward(
        self, items_BTW: Tensor, inner: Relation, last: Relation, row_B: Tensor | None = None
    ) -> Tensor:
        """User vectors, (B, T, W) -> (B, R, W), weighed once towers do not learn any more."""
        x_BTW = self.dropout(items_BTW)
        x_BGTw = x_BTW.reshape(*x_BTW.shape[:2], self.groups, -1).transpose(1, 2)
        distance_BRT = last.distance_BRT[:, None]  # the same for every group
        log_decay_G = nn.functional.logsigmoid(self.decay)[:, None, None]
        weight_BGRT = (distance_BRT.clamp_min(0) * log_decay_G).exp() * (distance_BRT >= 0)
        sums_BGRw = weight_BGRT @ x_BGTw * self.size[:, None]
        sums_BRW: Tensor = sums_BGRw.transpose(1, 2).flatten(-2)
        user_BRW = sums_BRW + self.anyone
        return user_BRW if self.training else user_BRW * self.weight


@torch.no_grad()
def _reserve(weight_VW: Tensor) -> None:
    """Keep the last column at zero. It is so in all that a score is made of, so that no gradient
    ever reaches it: training leaves it free for what new items' scores are to gain.
    """
    weight_VW[:, -1] = 0
