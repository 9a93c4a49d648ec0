"""Lists of different lengths in one array, one after another; and whether what is read fits."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def before_each(counts: ArrayLike) -> NDArray[np.int64]:
    """(N + 1,), of N counts: the sum of those before each, and last of all.

    Of lengths that is where each list starts, and the last one ends; of a mask, how many lie before
    each place.
    """
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64, copy=False)


def nth_of_each(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """0, 1, ... as far as the first count says, then the second, and so on: places in each list."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)


def are_offsets(offsets: NDArray[Any], entries: int) -> bool:
    """Whether lists that start there, as ``before_each`` has it, make up so many entries."""
    if offsets.ndim != 1 or offsets.dtype.kind != "i" or not len(offsets):
        return False
    ascend = (offsets[:-1] <= offsets[1:]).all()
    return bool(offsets[0] == 0 and offsets[-1] == entries and ascend)


def are_rows(rows: NDArray[Any], size: int) -> bool:
    """Whether all are rows of a table of this size."""
    if rows.ndim != 1 or rows.dtype.kind != "i":
        return False
    return not len(rows) or bool(rows.min() >= 0 and rows.max() < size)


def each_once(rows_N: NDArray[Any], size: int) -> bool:
    """Whether they are all rows of a table of this size, in any order."""
    if len(rows_N) != size or not are_rows(rows_N, size):
        return False
    there_N = np.zeros(size, np.bool_)
    there_N[rows_N] = True
    return bool(there_N.all())
