"""Rows of the bundle that are gone, as a set."""

from service.retrieval.live import Live
from service.retrieval.rows import Mask, RowSet


class Gone:
    """The same set while the same are gone: what is made of it is made once."""

    def __init__(self) -> None:
        self._known: tuple[Mask, RowSet | None] | None = None

    def of(self, live: Live) -> RowSet | None:
        """None where none is."""
        gone_N = live.gone_N
        if self._known is None or self._known[0] is not gone_N:
            self._known = gone_N, RowSet.of(gone_N) if gone_N.any() else None
        return self._known[1]
