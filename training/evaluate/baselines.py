"""Baselines that need no training: popularity, item-kNN, recency-decayed and content kNN.

A sub-second kNN is astonishingly strong on sparse shop logs; a model that loses to it should
not go live.
"""

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from models.contract.types import FloatArray
from training.data.histories import Histories, Windows
from training.evaluate.ranking import Ranker, Task, ndcg
from training.memory.lists import best, decayed, unit_rows, without_themselves

DECAYS = (0.5, 0.6, 0.7, 0.8, 0.9)
_WHOLE = 50_000  # items, beyond which cosines of all pairs might not fit into memory
_NEAREST = 200  # of each item, that are then kept
_AT_ONCE = 20_000_000  # pairs


class Popularity:
    """Every history gets the same scores: how often each item was used in training."""

    def __init__(self, histories: Histories, catalogue_size: int) -> None:
        self.count_N = histories.uses(catalogue_size).astype(np.float32)

    def score(self, items: NDArray[np.int32], windows: Windows) -> FloatArray:
        """Scores (B, N)."""
        return np.tile(self.count_N, (len(windows.start), 1))


class ItemKnn:
    """Cosine similarity of items' TF-IDF weighted user vectors, summed over the history.

    ``decay``: the weight of an item falls by this factor with every step back; 1 forgets nothing.
    """

    def __init__(self, similarity_NN: sp.csr_array, decay: float = 1.0) -> None:
        self.similarity_NN = similarity_NN
        self.decay = decay

    def score(self, items: NDArray[np.int32], windows: Windows) -> FloatArray:
        """Scores (B, N)."""
        history_BN = decayed(items, windows, self.decay, self.similarity_NN.shape[0])
        scores_BN: FloatArray = (history_BN @ self.similarity_NN).toarray().astype(np.float32)
        return scores_BN


class ContentKnn:
    """Inner product of an item's content vector and the history's, decayed as in ItemKnn."""

    def __init__(self, vectors_ND: FloatArray, decay: float = 1.0) -> None:
        self.vectors_ND = vectors_ND
        self.decay = decay

    def score(self, items: NDArray[np.int32], windows: Windows) -> FloatArray:
        """Scores (B, N)."""
        history_BN = decayed(items, windows, self.decay, len(self.vectors_ND))
        scores_BN: FloatArray = (history_BN @ self.vectors_ND) @ self.vectors_ND.T
        return scores_BN


def item_similarity(
    histories: Histories, catalogue_size: int, *, filter_seen: bool = True
) -> sp.csr_array:
    """(N, N) cosines between items' TF-IDF user vectors; 0 with themselves where ``filter_seen``.

    A user is a document, an item a word: users with long histories say less about each item. Of
    more than 50,000 items each keeps its 200 nearest alone.
    """
    users = histories.users()
    shape = (catalogue_size, len(histories))
    ones = np.ones(len(users), np.float32)
    uses_NU = sp.csr_array((ones, (histories.items, users)), shape=shape)
    uses_NU.data[:] = 1.0
    items_of_user: FloatArray = np.asarray(uses_NU.sum(axis=0)).ravel()
    idf_U = np.log(catalogue_size / np.maximum(items_of_user, 1)) + 1
    unit_NU = unit_rows(sp.csr_array(uses_NU @ sp.diags_array(idf_U)))
    if catalogue_size > _WHOLE:
        return _nearest(unit_NU, filter_seen)
    similarity_NN = sp.csr_array(unit_NU @ unit_NU.T)
    if filter_seen:
        similarity_NN.setdiag(0)
        similarity_NN.eliminate_zeros()
    return similarity_NN.astype(np.float32)


def _nearest(unit_NU: sp.csr_array, filter_seen: bool) -> sp.csr_array:
    """(N, N): the best of each row, some rows at a time."""
    unit_UN, parts = sp.csr_array(unit_NU.T), []
    rows = max(1, _AT_ONCE // unit_NU.shape[0])
    for first in range(0, unit_NU.shape[0], rows):
        part_RN = sp.csr_array(unit_NU[first : first + rows] @ unit_UN)
        part_RN = without_themselves(part_RN, first) if filter_seen else part_RN
        parts.append(best(part_RN, _NEAREST).astype(np.float32))
    return sp.csr_array(sp.vstack(parts, format="csr"))


def choose_decay(make: Callable[[float], Ranker], validation: Task) -> float:
    """The decay of DECAYS with the best NDCG@10 on validation."""
    return max(DECAYS, key=lambda decay: ndcg(make(decay), validation))
