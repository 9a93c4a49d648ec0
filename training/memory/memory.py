"""The memory: what follows an item, and what is described like it, as one short list an item.

It knows what was counted, where the model knows what was learned, and the two err apart: their sum
ranks better than either (docs/method.md, 4).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from models.contract.memory import STEPS, Memory
from models.contract.types import FloatArray
from models.nets.words import ItemWords
from training.data.histories import Histories, Windows
from training.evaluate.ranking import Ranker, Task, ndcg
from training.memory.likeness import likeness
from training.memory.lists import best, decayed, rows_of
from training.memory.transitions import transitions

DECAYS = (0.5, 0.6, 0.7)
LIKENESS = (0.0, 0.3, 0.6, 1.0, 1.5)


class Recipe(NamedTuple):
    """How a memory is made of counts."""

    likeness: float = 0.0  # what being alike weighs, where having followed weighs 1
    decay: float = 1.0  # what a step back in a history leaves of its item's weight
    weight: float = 0.0  # beside the model's scores; 0: nothing that was counted is added
    live: float = 0.0  # what is counted while it serves weighs then (training/memory/live.py)
    live_decay: float = 1.0


class Sources(NamedTuple):
    """What a memory is made of: (N, N) each, and how many items an item's list may have."""

    transitions_NN: sp.csr_array
    likeness_NN: sp.csr_array
    most: int

    @classmethod
    def of(cls, histories: Histories, words: ItemWords, most: int) -> "Sources":
        """Counted in these histories and nowhere else; lists of ``most`` items and fewer."""
        size = len(words.offsets) - 1
        return cls(transitions(histories, size), likeness(words, most), most)

    def mix(self, recipe: Recipe) -> Memory:
        """Their sum, the best of each item."""
        mixed_NN = sp.csr_array(self.transitions_NN + recipe.likeness * self.likeness_NN)
        mixed_NN.eliminate_zeros()
        lists_NN = best(mixed_NN, self.most)
        followed_J = np.asarray(self.transitions_NN[rows_of(lists_NN), lists_NN.indices]).ravel()
        return Memory(
            offsets=lists_NN.indptr.astype(np.int64),
            items_J=lists_NN.indices.astype(np.int32),
            scores_J=(recipe.weight * lists_NN.data).astype(np.float32),
            alike_J=(2 * followed_J < lists_NN.data).astype(np.uint8),
            decay=recipe.decay,
            weight=recipe.weight,
        )


def choose(sources: Sources, likeness: Sequence[float], validation: Task) -> Recipe:
    """Of these weights of likeness, and all DECAYS, those with the best NDCG@10 on validation."""
    tried = {}
    for alike in likeness:
        memory = sources.mix(Recipe(alike, weight=1.0))
        for decay in DECAYS:
            ranker = MemoryRanker(replace(memory, decay=decay))
            tried[Recipe(alike, decay, weight=1.0)] = ndcg(ranker, validation)
    return max(tried, key=lambda recipe: tried[recipe])


class MemoryRanker:
    """A memory as a Ranker."""

    def __init__(self, memory: Memory) -> None:
        self.size, self.decay = len(memory), memory.decay
        lists = memory.scores_J, memory.items_J, memory.offsets
        self.lists_NN = sp.csr_array(lists, shape=(self.size, self.size))

    def score(self, items: NDArray[np.int32], windows: Windows) -> FloatArray:
        """Scores (B, N)."""
        history_BN = decayed(items, windows.latest(STEPS), self.decay, self.size)
        scores_BN: FloatArray = (history_BN @ self.lists_NN).toarray().astype(np.float32)
        return scores_BN


class Sum:
    """Two rankers' scores, added."""

    def __init__(self, first: Ranker, second: Ranker) -> None:
        self.first, self.second = first, second

    def score(self, items: NDArray[np.int32], windows: Windows) -> FloatArray:
        """Scores (B, N)."""
        return self.first.score(items, windows) + self.second.score(items, windows)
