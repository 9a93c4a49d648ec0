"""Tables that rows are added to while others read them."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class Growing:
    """Rows of one width. What was handed out is never written to: it ends before what is added."""

    def __init__(self, width: int, dtype: DTypeLike) -> None:
        self._table: NDArray[Any] = np.empty((16, width), dtype)
        self._count = 0

    def add(self, row: NDArray[Any]) -> None:
        """One more. A table that is full is copied into one of twice the size."""
        if self._count == len(self._table):
            larger = np.empty((2 * self._count, self._table.shape[1]), self._table.dtype)
            larger[: self._count] = self._table
            self._table = larger
        self._table[self._count] = row
        self._count += 1

    @property
    def rows(self) -> NDArray[Any]:
        """All so far."""
        return self._table[: self._count]
