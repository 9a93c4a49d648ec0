"""Lists of different lengths in one array, one after another."""

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
