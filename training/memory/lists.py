"""Histories and lists of items as sparse rows."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from models.contract.ragged import before_each, nth_of_each
from training.data.histories import Windows, unroll


def decayed(
    items: NDArray[np.int32], windows: Windows, decay: float, catalogue_size: int
) -> sp.csr_array:
    """(B, N): what each item of a history still weighs."""
    steps = unroll(items, windows)
    weights = decay ** steps.back.astype(np.float32)
    shape = (len(windows.start), catalogue_size)
    return sp.csr_array((weights, (steps.row, steps.item)), shape=shape)


def best(table_RN: sp.csr_array, most: int) -> sp.csr_array:
    """The ``most`` largest entries of every row; of equal ones, those that come first."""
    row_J = rows_of(table_RN)
    order = np.lexsort((-table_RN.data, row_J))
    place = nth_of_each(np.diff(table_RN.indptr))
    return _only(table_RN, np.sort(order[place < most]))


def unit_rows(table_RN: sp.csr_array) -> sp.csr_array:
    """Rows of length 1, so that their products are cosines."""
    length_R = np.sqrt(np.asarray(table_RN.power(2).sum(axis=1)).ravel())
    return sp.csr_array(sp.diags_array(1 / np.maximum(length_R, 1e-12)) @ table_RN)


def without_themselves(table_RN: sp.csr_array, first: int = 0) -> sp.csr_array:
    """No entry of an item with itself; the first row is that of item ``first``."""
    return _only(table_RN, np.flatnonzero(table_RN.indices != rows_of(table_RN) + first))


def rows_of(table_RN: sp.csr_array) -> NDArray[np.int64]:
    """The row of every entry."""
    return np.repeat(np.arange(table_RN.shape[0]), np.diff(table_RN.indptr))


def _only(table_RN: sp.csr_array, kept: NDArray[np.int64]) -> sp.csr_array:
    counts = np.bincount(rows_of(table_RN)[kept], minlength=table_RN.shape[0])
    parts = table_RN.data[kept], table_RN.indices[kept], before_each(counts)
    return sp.csr_array(parts, shape=table_RN.shape)
