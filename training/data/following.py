"""How often an item follows another in histories, in order and within some steps."""

import numpy as np
import scipy.sparse as sp

from training.data.histories import Histories


def following(histories: Histories, catalogue_size: int, window: int, decay: float) -> sp.csr_array:
    """(N, N): how often the column's item came up to ``window`` steps after the row's, each step
    of distance weighing less.
    """
    users = histories.users()
    total_NN = sp.csr_array((catalogue_size, catalogue_size), dtype=np.float64)
    for step in range(1, window + 1):
        together = users[:-step] == users[step:]
        earlier, later = histories.items[:-step][together], histories.items[step:][together]
        weights = np.full(len(earlier), decay ** (step - 1))
        total_NN = total_NN + sp.csr_array((weights, (earlier, later)), shape=total_NN.shape)
    return sp.csr_array(total_NN)
