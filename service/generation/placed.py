"""What is counted by ids, in rows of a generation's catalogue."""

from collections.abc import Sequence
from typing import NamedTuple

from models.contract.types import FloatArray
from service.catalogue.live_items import LiveItems
from service.events.latest import Latest
from service.retrieval.live import Live
from service.retrieval.rows import Rows


class Placed(NamedTuple):
    """Rows of those that are known, and what each weighs. source: what was told."""

    source: object
    rows_J: Rows
    weights_J: FloatArray


class Places:
    """Of so many sources at most: each is looked up once while the catalogue stays as it is."""

    def __init__(self, items: LiveItems, most: int) -> None:
        self.items = items
        self._placed: Latest[Placed] = Latest(most)
        self._live: Live | None = None  # that they are of

    def of(self, source: object, item_ids: Sequence[str], weights_J: FloatArray) -> Placed:
        """source: the same object for as long as it tells the same."""
        if self._live is not self.items.live:
            self._placed, self._live = Latest(self._placed.most), self.items.live
        placed = self._placed.get(id(source))  # nobody else's: what is kept keeps its source
        if placed is None:
            rows_J, known_J = self.items.known(item_ids)
            placed = Placed(source, rows_J, weights_J[known_J])
        self._placed.put(id(source), placed)
        return placed
