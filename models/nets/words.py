"""Words of items, and the vectors learned for them."""

from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

_FEW = 2**20  # words of a catalogue, all of which a GPU sums sooner than it tells which are asked


class ItemWords(NamedTuple):
    """Words of every item, one item after another; a word counts once an item."""

    offsets: NDArray[np.int64]  # (N + 1,), where each item's words start
    words_J: NDArray[np.int32]  # rows of the vocabulary
    vocabulary_size: int

    def renumbered(self, row_V: NDArray[np.int64]) -> Self:
        """The same words, in other rows of the vocabulary."""
        return self._replace(words_J=row_V[self.words_J].astype(np.int32))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What is stored."""
        size = np.array([self.vocabulary_size])
        return {"offsets": self.offsets, "words": self.words_J, "vocabulary_size": size}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> Self:
        """The inverse of ``arrays``."""
        return cls(arrays["offsets"], arrays["words"], int(arrays["vocabulary_size"][0]))


class WordVectors(NamedTuple):
    """(V, D) each: what a word adds to an item's vector, as it is scored and as it is read."""

    scored_VD: Tensor
    read_VD: Tensor


class WordBag(nn.Module):
    """An item's word vector while it is being learned: the sum of its words' own vectors.

    Where frozen encoders and codes keep what items have in common, words also keep what tells
    them apart: a brand, a director, a shade. What is exported is the sums, ``table()``.
    """

    offsets: Tensor
    words: Tensor

    def __init__(self, item_words: ItemWords, width: int) -> None:
        super().__init__()
        # One row more than items, without words: what stands for an item outside the catalogue.
        offsets = np.append(item_words.offsets, item_words.offsets[-1])
        self.register_buffer("offsets", torch.tensor(offsets), persistent=False)
        self.register_buffer("words", torch.tensor(item_words.words_J).long(), persistent=False)
        self.embedding = nn.EmbeddingBag(max(1, item_words.vocabulary_size), width, mode="sum")
        nn.init.normal_(self.embedding.weight, std=0.02 / 3)

    def forward(self, item_index: Tensor) -> Tensor:
        """(...) -> (..., W); each item's sum is taken once, however often it occurs.

        To find out which occur, the host would wait for a GPU: that sums the words of all items,
        where they are not many.
        """
        if item_index.device.type != "cpu" and len(self.words) <= _FEW:
            return self.of_all(item_index)
        items_U, place = item_index.unique(return_inverse=True)  # type: ignore[no-untyped-call]
        start_U = self.offsets[items_U]
        count_U = self.offsets[items_U + 1] - start_U
        into_U = count_U.cumsum(0) - count_U
        words_J = torch.repeat_interleave(start_U - into_U, count_U)
        words_J = words_J + torch.arange(len(words_J), device=words_J.device)
        sums_UW: Tensor = self.embedding(self.words[words_J], into_U)
        return sums_UW[place]

    def of_all(self, item_index: Tensor) -> Tensor:
        """The same, (..., W), by the sums of every item."""
        sums_NW: Tensor = self.embedding(self.words, self.offsets[:-1])
        return F.embedding(item_index, sums_NW)

    @torch.no_grad()
    def table(self) -> Tensor:
        """Word vectors of all items and of the row after them, (N + 1, W)."""
        everything = torch.arange(len(self.offsets) - 1, device=self.offsets.device)
        table: Tensor = self(everything)
        return table
