"""How allowed rows are spread over the lists of an index.

They may lie anywhere: the lists nearest to a query may hold hardly any of them, and not the best.
So more lists are searched, until enough of them are scanned.
"""

from typing import Any
from weakref import WeakKeyDictionary

import faiss
import numpy as np
from numpy.typing import NDArray

from models.contract.types import FloatArray
from service.retrieval.rows import RowSet


class Spread:
    """Over the lists of one index, which does not change."""

    def __init__(self, index: Any) -> None:
        self.index = index
        self._list_of_N = _list_of(index)
        self._counts: WeakKeyDictionary[RowSet, NDArray[np.int64]] = WeakKeyDictionary()

    def lists(self, turned_BD: FloatArray, allowed: RowSet, wanted: float) -> int:
        """How many of the lists nearest to a query hold so many of the rows, or all that there are;
        of all these queries the most.
        """
        counts_L = self._counts_of(allowed)
        nearest_BL = self.index.quantizer.search(turned_BD, self.index.nlist)[1]
        held_BL = np.cumsum(counts_L[nearest_BL], axis=1)
        return int((held_BL < min(wanted, allowed.count)).sum(axis=1).max()) + 1

    def _counts_of(self, allowed: RowSet) -> NDArray[np.int64]:
        """(lists,): allowed rows in each, counted once a set."""
        if (found := self._counts.get(allowed)) is None:
            inside_J = self._list_of_N[allowed.mask_N]
            found = self._counts[allowed] = np.bincount(inside_J, minlength=self.index.nlist)
        return found


def _list_of(index: Any) -> NDArray[np.int32]:
    """(N,): the list that each row is in."""
    list_of_N = np.zeros(index.ntotal, np.int32)
    for number in range(index.nlist):
        if size := index.invlists.list_size(number):
            ids = faiss.rev_swig_ptr(index.invlists.get_ids(number), size)
            list_of_N[ids] = number
    return list_of_N
