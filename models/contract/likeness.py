"""Likeness: which of a bundle's items one that comes while it serves is described like.

What training's memory counts of words (docs/method.md, 4), kept as a list a word, so that it can be
asked of an item that training did not know.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from models.contract.types import FloatArray

NEAREST = 50  # rows that an item is told to be like


class Alike(NamedTuple):
    """Rows that an item is described like, (J,) each, in the memory's scores.

    after_J: what each of them is worth after the item. before_J: what the item is worth after it.
    """

    rows_J: NDArray[np.int32]
    after_J: FloatArray
    before_J: FloatArray


NOBODY = Alike(np.empty(0, np.int32), np.empty(0, np.float32), np.empty(0, np.float32))


@dataclass(frozen=True)
class WordLikeness:
    """Of every word the items that have it, one list after another.

    offsets: (V + 1,) int64. items_J: int32; weights_J: float32, TF-IDF, an item's all together of
    length 1. Words that too many items have list none. rarity_V: float32, of every word. worth:
    what items of the same words are worth to each other. scale: what of that is a new item's.
    """

    offsets: NDArray[np.int64]
    items_J: NDArray[np.int32]
    weights_J: FloatArray
    rarity_V: FloatArray
    worth: float
    scale: float

    def nearest(self, words: Sequence[int]) -> Alike:
        """Of an item of these words: the rows with the largest cosines."""
        if not words:
            return NOBODY
        rarity_W = self.rarity_V[list(words)]
        unit_W = rarity_W / np.linalg.norm(rarity_W)
        parts = [slice(self.offsets[word], self.offsets[word + 1]) for word in words]
        shares = [unit * self.weights_J[part] for unit, part in zip(unit_W, parts, strict=True)]
        items_P = np.concatenate([self.items_J[part] for part in parts])
        cosine_N = np.bincount(items_P, np.concatenate(shares))
        rows_J = np.flatnonzero(cosine_N)
        if len(rows_J) > NEAREST:
            rows_J = rows_J[np.argpartition(-cosine_N[rows_J], NEAREST)[:NEAREST]]
        after_J = (self.worth * cosine_N[rows_J]).astype(np.float32)
        return Alike(rows_J.astype(np.int32), after_J, np.float32(self.scale) * after_J)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What is stored."""
        return {
            "alike_offsets": self.offsets,
            "alike_items": self.items_J,
            "alike_weights": self.weights_J,
            "alike_rarity": self.rarity_V,
            "alike_worth": np.array([self.worth, self.scale], np.float32),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self | None:
        """The inverse of ``arrays``; None where none of them is there."""
        if "alike_worth" not in arrays:
            return None
        worth, scale = arrays["alike_worth"].tolist()
        return cls(
            offsets=arrays["alike_offsets"],
            items_J=arrays["alike_items"],
            weights_J=arrays["alike_weights"],
            rarity_V=arrays["alike_rarity"],
            worth=worth,
            scale=scale,
        )
