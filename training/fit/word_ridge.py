"""Towers that see no words: what an item's words foretell of its vectors, for items without any.

A tower that learns items' own vectors knows nothing of a new item. Ridge regression of the vectors
that training learned on the words of their items says what each word comes to (an attribute-to-
feature mapping: Gantner et al., 2010), and a new item's vector is the sum of its words', as in
towers that learn words themselves. Those need none: what is left there no word explains.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor, nn

from models.contract.types import FloatArray
from models.nets.sequence import SequenceModel
from models.nets.words import ItemWords, WordVectors
from training.data.histories import Histories
from training.memory.likeness import said

_MOST = 200_000  # items to learn from, the most used: what a word comes to takes no more
_STEPS = 50  # of conjugate gradients; some 20 are enough for thousands of items
_DONE = 1e-5  # of the squared remainder that it began with


def foretell(
    model: SequenceModel, words: WordVectors, item_words: ItemWords, histories: Histories
) -> WordVectors:
    """Give new items the residuals that their words foretell, in place, where a tower has no words.

    Returns the words' vectors with what was learned for those towers. New: those of no history.
    """
    wordless = [seen for seen in model.config.towers if "words" not in seen]
    used_N = histories.uses(model.config.catalogue_size)
    worded_N = np.diff(item_words.offsets) > 0
    learned = np.flatnonzero((used_N > 0) & worded_N)
    if not wordless or not len(learned):
        return words
    learned = learned[np.argsort(-used_N[learned], kind="stable")[:_MOST]]
    said_NV = said(item_words)
    ridge = Ridge.of(said_NV[learned], used_N[learned])
    new_N = worded_N & (used_N == 0)
    return _applied(model, words, ridge, learned, said_NV[new_N], torch.from_numpy(new_N))


@torch.no_grad()
def _applied(
    model: SequenceModel,
    words: WordVectors,
    ridge: "Ridge",
    learned: NDArray[np.int64],
    new_JV: csr_array,
    new_N: Tensor,
) -> WordVectors:
    size, width = len(new_N), model.config.width
    scored_VD, read_VD = (_grown(vectors, new_JV.shape[1], model) for vectors in words)
    new_N = new_N.to(model.seen.device)
    for n, (tower, sources) in enumerate(zip(model.each(), model.config.towers, strict=True)):
        columns = slice(n * width, (n + 1) * width)
        for place, (table, _) in enumerate(tower.residuals()):
            table.weight[:size] *= model.seen[:size]  # what training never moved is noise
            if "words" in sources:
                continue
            vectors_VW = ridge.fit(_rows(table, learned))
            table.weight[:size][new_N] = torch.from_numpy(new_JV @ vectors_VW).to(new_N.device)
            if place == 0:  # what is scored; of most towers that is what is read, too
                scored_VD[:, columns] = torch.from_numpy(vectors_VW)
            read_VD[:, columns] = torch.from_numpy(vectors_VW)
    model.seen[:size][new_N] = 1.0
    return WordVectors(scored_VD, read_VD)


class Ridge(NamedTuple):
    """Least squares with a penalty, of items' vectors on which words they have.

    An item weighs as the square root of how often it was used; the penalty is as many items as one
    has words (chosen on validation of MovieLens-1M, where from a third to three times of it do
    alike).
    """

    said_JV: csr_array
    said_VJ: csr_array
    weight_J1: FloatArray  # of mean 1
    penalty: float

    @classmethod
    def of(cls, said_JV: csr_array, used_J: NDArray[np.int64]) -> "Ridge":
        """From the words of these items, each used at least once."""
        weight_J = np.sqrt(used_J).astype(np.float32)
        penalty = float(said_JV.sum(axis=1).mean())
        return cls(said_JV, csr_array(said_JV.T), (weight_J / weight_J.mean())[:, None], penalty)

    def fit(self, vectors_JW: FloatArray) -> FloatArray:
        """(V, W) what each word comes to, by conjugate gradients; columns are apart."""
        left_VW = self.said_VJ @ (self.weight_J1 * vectors_JW)
        found_VW, along_VW = np.zeros_like(left_VW), left_VW.copy()
        squares_W = first_W = np.square(left_VW).sum(0)
        for _ in range(_STEPS):
            if not squares_W.any() or squares_W.max() <= _DONE * first_W.max():
                break
            bent_VW = self.said_VJ @ (self.weight_J1 * (self.said_JV @ along_VW))
            bent_VW += self.penalty * along_VW
            step_W = squares_W / np.maximum((along_VW * bent_VW).sum(0), 1e-20)
            found_VW += step_W * along_VW
            left_VW -= step_W * bent_VW
            before_W, squares_W = squares_W, np.square(left_VW).sum(0)
            along_VW = left_VW + squares_W / np.maximum(before_W, 1e-20) * along_VW
        fitted_VW: FloatArray = found_VW.astype(np.float32)
        return fitted_VW


def _rows(table: nn.Embedding, rows_J: NDArray[np.int64]) -> FloatArray:
    rows: FloatArray = table.weight[torch.from_numpy(rows_J).to(table.weight.device)].cpu().numpy()
    return rows


def _grown(vectors_VD: Tensor, words: int, model: SequenceModel) -> Tensor:
    """With a row for every word, also where no tower had vectors of words."""
    if len(vectors_VD) == words:
        return vectors_VD.clone()
    return torch.zeros(words, model.config.vector_size)
