"""How often an item follows another, in order and within a few steps."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from training.data.histories import Histories
from training.memory.lists import without_themselves

REACH = 10  # steps, beyond which what follows is not counted
_FALL = 0.8  # what a step of distance leaves of a count


def transitions(histories: Histories, catalogue_size: int) -> sp.csr_array:
    """(N, N): log(1 + how often the column's item followed the row's), 1 for the most frequent.

    Every pair of a history counts up to REACH steps apart, the less the farther. Nothing follows
    itself.
    """
    shape = catalogue_size, catalogue_size
    counts_NN = _counts(*_pairs(histories, 1), shape)
    for steps in range(2, REACH + 1):
        farther_NN = _counts(*_pairs(histories, steps), shape)
        counts_NN = sp.csr_array(counts_NN + _FALL ** (steps - 1) * farther_NN)
    counts_NN = without_themselves(counts_NN)
    np.log1p(counts_NN.data, out=counts_NN.data)
    most_N = counts_NN.max(axis=1).toarray().ravel()
    shares_NN = sp.csr_array(sp.diags_array(1 / np.maximum(most_N, 1e-12)) @ counts_NN)
    return shares_NN.astype(np.float32)


def _counts(
    before: NDArray[np.int32], after: NDArray[np.int32], shape: tuple[int, int]
) -> sp.csr_array:
    return sp.csr_array((np.ones(len(before), np.float32), (before, after)), shape=shape)


def _pairs(histories: Histories, steps: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Items of the same history so many steps apart."""
    user = np.repeat(np.arange(len(histories)), np.diff(histories.offsets))
    same = user[steps:] == user[:-steps]
    return histories.items[:-steps][same], histories.items[steps:][same]
