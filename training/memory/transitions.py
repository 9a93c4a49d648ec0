"""How often an item follows another, in order and within a few steps."""

import numpy as np
import scipy.sparse as sp

from models.contract.memory import FALL, REACH
from training.data.following import following
from training.data.histories import Histories
from training.memory.lists import without_themselves


def transitions(histories: Histories, catalogue_size: int) -> sp.csr_array:
    """(N, N): log(1 + how often the column's item followed the row's), 1 for the most frequent.

    Every pair of a history counts up to REACH steps apart, the less the farther. Nothing follows
    itself.
    """
    counts_NN = without_themselves(following(histories, catalogue_size, REACH, FALL))
    np.log1p(counts_NN.data, out=counts_NN.data)
    most_N = counts_NN.max(axis=1).toarray().ravel()
    shares_NN = sp.csr_array(sp.diags_array(1 / np.maximum(most_N, 1e-12)) @ counts_NN)
    return shares_NN.astype(np.float32)
