"""Codes: item ids -> what the scorer needs to know of them, in process."""

from collections.abc import Callable, Sequence
from functools import lru_cache

from models.contract.bundle import Bundle
from models.contract.types import ItemCodes
from service.catalogue.live_items import LiveItems
from service.metrics import Metrics

_AT_HAND = 2**16  # items: a look-up in the mapped map takes some 1 µs, one here 0.1


class Codes:
    """Of live items, which come first, and of the bundle's, of which some are at hand."""

    def __init__(self, bundle: Bundle, live: LiveItems, metrics: Metrics) -> None:
        self._lookup = _lookup(bundle)
        self.live = live
        self.metrics = metrics
        self.seconds = metrics.cache.labels("process")

    def get(self, item_ids: Sequence[str]) -> list[ItemCodes | None]:
        """Codes of each id, None where nothing is known of it."""
        with self.seconds.time():
            found = [self._lookup(item_id) for item_id in item_ids]
            if len(self.live):
                pairs = zip(item_ids, found, strict=True)
                found = [self.live.codes(item_id) or codes for item_id, codes in pairs]
        self.metrics.count_lookups("process", found)
        return found


def _lookup(bundle: Bundle) -> Callable[[str], ItemCodes | None]:
    """Of no object that would keep it, and a bundle's mapped files, alive after its generation."""
    rows, codes_NS = bundle.catalogue.rows, bundle.semantic_ids.codes_NS

    @lru_cache(_AT_HAND)
    def find(item_id: str) -> ItemCodes | None:
        row = rows.get(item_id)
        return None if row is None else ItemCodes(row, codes_NS[row])

    return find
