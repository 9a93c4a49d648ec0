"""What one query may find, and what it has brought to mind."""

from typing import NamedTuple

import numpy as np

from models.contract.memory import Recalled
from service.retrieval.rows import Rows, RowSet

NO_ROWS: Rows = np.empty(0, np.int64)


class Allowed(NamedTuple):
    """Rows that alone may be found: of the bundle, and live ones (N and above), ascending."""

    base: RowSet
    live: Rows = NO_ROWS


class Selection(NamedTuple):
    """Rows that are hidden, each once; and those that alone may be found, None where any may.

    recalled: what the memory adds to the scores of rows of the bundle.
    """

    hidden: Rows = NO_ROWS
    allowed: Allowed | None = None
    recalled: Recalled | None = None


ANYTHING = Selection()
