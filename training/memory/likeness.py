"""How alike items are described: the cosine of their words, rare ones weighing more."""

import numpy as np
import scipy.sparse as sp

from models.nets.words import ItemWords
from training.memory.lists import best, unit_rows, without_themselves

_COMMON = 2000  # items: a word that more have tells none of them from others
_AT_ONCE = 1000  # items


def likeness(words: ItemWords, most: int) -> sp.csr_array:
    """(N, N): the TF-IDF cosine of each item's words and another's; of each row the ``most`` best.

    Words that are too common count for nothing, so that it costs the items, not their square.
    """
    weights_NV = _tf_idf(words)
    count_V = np.bincount(words.words_J, minlength=words.vocabulary_size)
    telling_NV = sp.csr_array(weights_NV @ sp.diags_array((count_V <= _COMMON).astype(np.float32)))
    telling_NV.eliminate_zeros()
    parts = []
    for first in range(0, telling_NV.shape[0], _AT_ONCE):
        alike_PN = sp.csr_array(telling_NV[first : first + _AT_ONCE] @ telling_NV.T)
        parts.append(best(without_themselves(alike_PN, first), most))
    return sp.csr_array(sp.vstack(parts, format="csr"))


def _tf_idf(words: ItemWords) -> sp.csr_array:
    """(N, V), rows of length 1."""
    size = len(words.offsets) - 1
    shape = size, words.vocabulary_size
    ones = np.ones(len(words.words_J), np.float32)
    said_NV = sp.csr_array((ones, words.words_J, words.offsets), shape=shape)
    count_V = np.bincount(words.words_J, minlength=words.vocabulary_size)
    rarity_V = np.log((1 + size) / (1 + count_V)) + 1
    return unit_rows(sp.csr_array(said_NV @ sp.diags_array(rarity_V.astype(np.float32))))
