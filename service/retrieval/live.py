"""What lives beside the bundle's items: new rows, and rows that are no more."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from models.contract.types import FloatArray
from service.retrieval.rows import Mask, Rows


class Live(NamedTuple):
    """Live items as the search sees them, at one moment.

    Rows below N are the bundle's; live item m has row N + m, for as long as a generation lives.
    No array is ever written to once it is in here: what changes is another Live, which shares
    with the one before whatever arrays are as they were.

    vectors_MD: what user vectors are compared with. gone_M: deleted, or replaced by a later row.
    gone_N: rows of the bundle that are deleted or replaced.
    """

    vectors_MD: FloatArray
    gone_M: Mask
    gone_N: Mask

    def gone_since(self, before: "Live", rows: Rows) -> bool:
        """Whether any of these rows was there then, and is gone."""
        numbers = rows[rows >= len(self.gone_N)] - len(self.gone_N)
        of_bundle = rows[rows < len(self.gone_N)]
        fresh = numbers >= len(before.gone_M)
        was_gone = before.gone_M[numbers[~fresh]]
        return bool(
            (self.gone_N[of_bundle] & ~before.gone_N[of_bundle]).any()
            or (self.gone_M[numbers[~fresh]] & ~was_gone).any()
            or self.gone_M[numbers[fresh]].any()
        )


# Asked once a batch, from the thread that computes it.
CurrentLive = Callable[[], Live]


def nothing_lives(items: int, width: int) -> CurrentLive:
    """Beside so many items of the bundle, all of which are there."""
    live = Live(np.empty((0, width), np.float32), np.zeros(0, np.bool_), np.zeros(items, np.bool_))
    return lambda: live
