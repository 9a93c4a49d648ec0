"""Semantic IDs of live items: unique beside the bundle's and each other's.

A live item keeps the codes that it was given, for the model reads them. What tells it apart is the
extra code: the next after those of all items that have the same codes.
"""

from collections.abc import Sequence
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from models.contract.semantic_id import SemanticIdTable
from models.contract.types import CodeArray


class UniqueCodes:
    """Hands out extra codes. None is given twice, whatever becomes of its item."""

    def __init__(self, table: SemanticIdTable) -> None:
        self._table = table
        self._latest: dict[bytes, int] = {}  # the extra code given last, by codes
        self._sorted: tuple[NDArray[np.uint64], NDArray[np.intp]] | None = None
        self._making = Lock()

    def prepare(self) -> None:
        """Make the index over the bundle's codes, once: a second for ten million items."""
        with self._making:
            if self._sorted is None:
                hashes_N = _hashes(self._table.codes_NS)
                order_N = np.argsort(hashes_N, kind="stable")
                self._sorted = hashes_N[order_N], order_N

    def extra(self, codes_S: CodeArray) -> int:
        """The extra code of one more item of these codes; 0 where it is alone with them."""
        key = codes_S.tobytes()
        before = self._latest.get(key)
        if before is None:
            extras = self._table.extra_N[self._rows(codes_S)]
            before = int(extras.max()) if len(extras) else -1
        self._latest[key] = before + 1
        return before + 1

    def _rows(self, codes_S: CodeArray) -> Sequence[int]:
        """Those of the bundle that have these codes."""
        self.prepare()
        assert self._sorted is not None
        hashes_N, order_N = self._sorted
        (wanted,) = _hashes(codes_S[None])
        first, last = (np.searchsorted(hashes_N, wanted, side) for side in ("left", "right"))
        rows = order_N[first:last]
        alike = (self._table.codes_NS[rows] == codes_S).all(axis=1)
        found: Sequence[int] = rows[alike].tolist()
        return found


def _hashes(codes_NS: CodeArray) -> NDArray[np.uint64]:
    """One number a row; the same for the same codes, and for few others."""
    hashes_N = np.zeros(len(codes_NS), np.uint64)
    for codes_N in codes_NS.T:
        hashes_N = (hashes_N ^ codes_N) * np.uint64(0x9E3779B97F4A7C15)
        hashes_N ^= hashes_N >> np.uint64(29)
    return hashes_N
