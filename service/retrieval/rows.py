"""Rows of the catalogue: as numbers, and as a bitmap."""

from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Bits = NDArray[np.uint8]
Mask = NDArray[np.bool_]


class RowSet:
    """Some of the first ``size`` rows, in whichever form is asked for, made once; never changed."""

    def __init__(self, size: int, rows: Rows | None = None, bits: Bits | None = None) -> None:
        self.size = size
        if rows is not None:
            self.rows, self.count = rows, len(rows)
        elif bits is not None:
            self.bits, self.count = bits, int(np.bitwise_count(bits).sum())
        else:
            raise ValueError("neither rows nor bits")

    @classmethod
    def of(cls, mask_N: Mask) -> Self:
        """Those that are true."""
        return cls(len(mask_N), bits=np.packbits(mask_N, bitorder="little"))

    @cached_property
    def rows(self) -> Rows:
        """Ascending."""
        return np.flatnonzero(self.mask_N)

    @cached_property
    def bits(self) -> Bits:
        """Bit n % 8 of byte n // 8 is of row n; none is set beyond the last."""
        mask_N = np.zeros(self.size, np.bool_)
        mask_N[self.rows] = True
        return np.packbits(mask_N, bitorder="little")

    @property
    def mask_N(self) -> Mask:
        """One boolean a row."""
        mask_N: Mask = np.unpackbits(self.bits, count=self.size, bitorder="little").view(np.bool_)
        return mask_N

    @cached_property
    def others(self) -> "RowSet":
        """Those that are not in it."""
        return RowSet.of(~self.mask_N)

    @cached_property
    def nothing_N(self) -> NDArray[np.float32]:
        """What is added to the scores of all rows, so that none of these is found."""
        return np.where(self.mask_N, np.float32(-np.inf), np.float32(0))

    @property
    def bytes(self) -> int:
        """What of it is made. Another thread may be making more of it: the list is made at once."""
        made = list(vars(self).values())
        return sum(
            form.bytes if isinstance(form, RowSet) else form.nbytes
            for form in made
            if isinstance(form, RowSet | np.ndarray)
        )

    def holds(self, rows: Rows) -> Mask:
        """Which of these are in it; each is below ``size``."""
        inside: Mask = (self.bits[rows >> 3] >> (rows & 7) & 1) > 0
        return inside

    def without(self, other: "RowSet") -> "RowSet":
        """Those that are not in the other, of the same size."""
        if "rows" in vars(self):
            return RowSet(self.size, rows=self.rows[~other.holds(self.rows)])
        return RowSet(self.size, bits=self.bits & ~other.bits)

    def both(self, other: "RowSet") -> "RowSet":
        """Those that are in the other, too, of the same size."""
        if "rows" in vars(self):
            return RowSet(self.size, rows=self.rows[other.holds(self.rows)])
        return RowSet(self.size, bits=self.bits & other.bits)

    def changed(self, rows: Rows, inside: Mask) -> "RowSet":
        """With these rows in it, or not."""
        bits, masks = self.bits.copy(), np.left_shift(1, rows & 7).astype(np.uint8)
        np.bitwise_or.at(bits, rows[inside] >> 3, masks[inside])
        np.bitwise_and.at(bits, rows[~inside] >> 3, ~masks[~inside])
        return RowSet(self.size, bits=bits)


def but(rows: Rows, hidden: Rows) -> Rows:
    """Without those that are hidden, each of which is there once. ``rows`` ascend."""
    return np.delete(rows, places(rows, hidden))


def places(rows: Rows, wanted: Rows) -> Rows:
    """Where in ``rows``, which ascend, those wanted are that are there."""
    if not len(rows):
        return rows
    at = np.minimum(np.searchsorted(rows, wanted), len(rows) - 1)
    there: Rows = at[rows[at] == wanted]
    return there
