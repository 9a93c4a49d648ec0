"""What is counted by ids, in rows of a generation's catalogue."""

from collections.abc import Sequence
from typing import NamedTuple

from models.contract.types import FloatArray
from service.catalogue.live_items import LiveItems
from service.retrieval.live import Live
from service.retrieval.rows import Rows


class Placed(NamedTuple):
    """Rows of those that are known, and what each weighs. source: what was told, live: by when."""

    source: object
    live: Live
    rows_J: Rows
    weights_J: FloatArray


def place(
    before: Placed | None,
    source: object,
    item_ids: Sequence[str],
    weights_J: FloatArray,
    items: LiveItems,
) -> Placed:
    """Looked up once for as long as neither the source nor the catalogue changes."""
    if before is not None and before.source is source and before.live is items.live:
        return before
    rows_J, known_J = items.known(item_ids)
    return Placed(source, items.live, rows_J, weights_J[known_J])
