"""What one query may find, and what it has brought to mind."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from models.contract.memory import Recalled
from service.retrieval.rows import Rows, RowSet

NO_ROWS: Rows = np.empty(0, np.int64)


class Allowed(NamedTuple):
    """Rows that alone may be found: of the bundle, and live ones (N and above), ascending."""

    base: RowSet
    live: Rows = NO_ROWS

    @classmethod
    def of(cls, rows: Iterable[int], items: int) -> Self:
        """These, where so many are the bundle's."""
        each = np.array(sorted(rows), np.int64)
        return cls(RowSet(items, rows=each[each < items]), each[each >= items])

    def any(self) -> bool:
        """Whether there are any rows."""
        return bool(self.base.count or len(self.live))

    def both(self, other: "Allowed") -> "Allowed":
        """Those that are in the other, too."""
        live = self.live[np.isin(self.live, other.live, assume_unique=True)]
        return Allowed(self.base.both(other.base), live)

    def without(self, other: "Allowed") -> "Allowed":
        """Those that are not in the other."""
        live = self.live[~np.isin(self.live, other.live, assume_unique=True)]
        return Allowed(self.base.without(other.base), live)


class Selection(NamedTuple):
    """Rows that are hidden, each once; and those that alone may be found, None where any may.

    recalled: what the memory adds to the scores of rows.
    """

    hidden: Rows = NO_ROWS
    allowed: Allowed | None = None
    recalled: Recalled | None = None


ANYTHING = Selection()


def hidden_pairs(selections: Sequence[Selection]) -> NDArray[np.int64]:
    """(H, 2): a query, and a row that is hidden from it."""
    hidden = [selection.hidden for selection in selections]
    queries = np.repeat(np.arange(len(hidden)), [len(rows) for rows in hidden])
    return np.stack([queries, np.concatenate(hidden)], axis=1)
