"""Strings of a whole catalogue in two mapped arrays: no Python object an item."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self, overload

import numpy as np
from numpy.typing import NDArray

from models.contract.ragged import are_offsets, before_each


class TextColumn(Sequence[str | None]):
    """One string a row, or None: UTF-8, one after another, and where each starts."""

    def __init__(self, offsets: NDArray[np.int64], utf8: NDArray[np.uint8]) -> None:
        # Memory views: an element of one costs a third of an array's.
        self._offsets, self._utf8 = offsets.data, utf8.data

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]], name: str) -> Self:
        """The inverse of ``text_arrays``. Raises KeyError where there is no such column."""
        return cls(arrays[f"{name}.offsets"], arrays[f"{name}.utf8"])

    def fits(self, rows: int) -> bool:
        """Whether it has a string for each of so many rows, wherever they start."""
        return len(self) == rows and are_offsets(np.asarray(self._offsets), len(self._utf8))

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @overload
    def __getitem__(self, row: int) -> str | None: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[str | None]: ...
    def __getitem__(self, row: int | slice) -> str | Sequence[str | None] | None:
        if isinstance(row, slice):
            return [self[n] for n in range(*row.indices(len(self)))]
        if not 0 <= row < len(self):
            raise IndexError(row)
        return self.of([row])[0]

    def of(self, rows: Iterable[int]) -> list[str | None]:
        """The strings of these rows, each of which there must be: twice as fast as one by one."""
        starts, utf8 = self._offsets, self._utf8
        return [utf8[starts[n] : starts[n + 1]].tobytes().decode() or None for n in rows]

    def __iter__(self) -> Iterator[str | None]:
        return (self[row] for row in range(len(self)))


def text_arrays(name: str, texts: Iterable[str | None]) -> dict[str, NDArray[Any]]:
    """What is stored of a column; the empty string is stored as None."""
    encoded = [(text or "").encode() for text in texts]
    lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
    return {
        f"{name}.offsets": before_each(lengths),
        f"{name}.utf8": np.frombuffer(b"".join(encoded), np.uint8),
    }
