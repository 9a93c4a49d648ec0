"""BehaviourEmbedding: what an item is to the people who use it, from training positions only."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import svds

from models.contract.types import FloatArray
from training.data.following import following
from training.data.histories import Histories

_WINDOW = 5  # steps, beyond which items do not count as used together
_DECAY = 0.7  # what a step of distance leaves of a count


def co_occurrence(histories: Histories, catalogue_size: int) -> sp.csr_array:
    """Symmetric (N, N) counts of items within five steps, each step apart weighing less."""
    total = following(histories, catalogue_size, _WINDOW, _DECAY)
    return sp.csr_array(total + total.T)


def behaviour_embeddings(
    histories: Histories, catalogue_size: int, size: int, seed: int
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Vectors (N, size) and which items have one: a factorised, shifted PPMI of co-occurrence.

    The closed form of what skip-gram item2vec learns (Levy and Goldberg, NeurIPS 2014): a choice,
    where the paper says only that behaviour comes from a sequence model. Items that training never
    saw have no behaviour: a mask, not a zero vector. Where nothing is left to factorise, or the
    catalogue is too small to, vectors are zero.
    """
    counts = co_occurrence(histories, catalogue_size).tocoo()
    marginal = np.asarray(counts.sum(axis=1)).ravel() + 1e-12
    rows, columns = counts.coords
    information = np.log(counts.data * marginal.sum() / (marginal[rows] * marginal[columns]))
    kept = information > 0
    ppmi = sp.csr_array(
        (information[kept], (rows[kept], columns[kept])), shape=counts.shape, dtype=np.float64
    )
    vectors = np.zeros((catalogue_size, size), np.float32)
    rank = min(size, catalogue_size - 2)
    if ppmi.nnz and rank > 0:
        start = np.random.default_rng(seed).normal(size=catalogue_size)
        left, values, _ = svds(ppmi, k=rank, v0=start)
        vectors[:, :rank] = left * np.sqrt(np.abs(values))
    return vectors, np.asarray(ppmi.sum(axis=1)).ravel() > 0
