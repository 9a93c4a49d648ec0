"""Which items are new."""

import numpy as np

from models.contract.catalogue import Catalogue
from service.retrieval.rows import Rows, RowSet
from service.retrieval.selection import Allowed

_TOLD = 60.0  # seconds: ages are told no finer, so that all of the bundle's are compared seldom


class Newcomers:
    """Items of the bundle that nobody has used, or not before a time; live ones put since then.

    What is used, and then put anew, is as new as it was. For one event loop.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._since: list[float] = []  # of live rows: when the item was put or used first
        self._kept: tuple[float, RowSet] | None = None

    def add(self, item_id: str, put: float) -> None:
        """The next live row. put: when that item was, first."""
        row = self.catalogue.rows.get(item_id)
        if row is not None and self.catalogue.popularity_N[row]:
            put = float(self.catalogue.first_used_N[row])
        self._since.append(put)

    def since(self, time: float) -> Allowed:
        """Rows that are no older, deleted ones too."""
        live: Rows = np.flatnonzero(np.array(self._since) >= time)
        return Allowed(self._of_bundle(time), len(self.catalogue) + live)

    def _of_bundle(self, time: float) -> RowSet:
        told = max(time, 0.0) // _TOLD * _TOLD
        if self._kept is None or self._kept[0] != told:
            used = self.catalogue
            self._kept = told, RowSet.of((used.first_used_N >= told) | (used.popularity_N == 0))
        return self._kept[1]
