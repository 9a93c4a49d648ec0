"""How alike items are described: the cosine of their words, rare ones weighing more."""

import numpy as np
import scipy.sparse as sp

from models.contract.likeness import WordLikeness
from models.contract.types import FloatArray
from models.nets.words import ItemWords
from training.memory.lists import best, unit_rows, without_themselves

_COMMON = 2000  # items: a word that more have tells none of them from others
_AT_ONCE = 1000  # items


def likeness(words: ItemWords, most: int) -> sp.csr_array:
    """(N, N): the TF-IDF cosine of each item's words and another's; of each row the ``most`` best.

    Words that are too common count for nothing, so that it costs the items, not their square.
    """
    telling_NV, _ = telling(words)
    parts = []
    for first in range(0, telling_NV.shape[0], _AT_ONCE):
        alike_PN = sp.csr_array(telling_NV[first : first + _AT_ONCE] @ telling_NV.T)
        parts.append(best(without_themselves(alike_PN, first), most))
    return sp.csr_array(sp.vstack(parts, format="csr"))


def telling(words: ItemWords) -> tuple[sp.csr_array, FloatArray]:
    """(N, V), the weights of words that tell items apart; and (V,), the rarity of every word.

    Rows are of length 1 with all other words.
    """
    said_NV, size = said(words), len(words.offsets) - 1
    count_V = np.bincount(words.words_J, minlength=words.vocabulary_size)
    rarity_V = (np.log((1 + size) / (1 + count_V)) + 1).astype(np.float32)
    weights_NV = unit_rows(sp.csr_array(said_NV @ sp.diags_array(rarity_V)))
    telling_NV = sp.csr_array(weights_NV @ sp.diags_array((count_V <= _COMMON).astype(np.float32)))
    telling_NV.eliminate_zeros()
    return telling_NV, rarity_V


def said(words: ItemWords) -> sp.csr_array:
    """(N, V): 1 where an item has a word."""
    ones_J = np.ones(len(words.words_J), np.float32)
    shape = len(words.offsets) - 1, words.vocabulary_size
    return sp.csr_array((ones_J, words.words_J, words.offsets), shape=shape)


def for_new_items(words: ItemWords, worth: float, scale: float) -> WordLikeness:
    """What tells the same of an item that training did not know."""
    telling_NV, rarity_V = telling(words)
    telling_VN = sp.csr_array(telling_NV.T)
    offsets, items_J = telling_VN.indptr.astype(np.int64), telling_VN.indices.astype(np.int32)
    return WordLikeness(
        offsets, items_J, telling_VN.data.astype(np.float32), rarity_V, worth, scale
    )
