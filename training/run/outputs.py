"""What a run hands on: the catalogue, as the bundle lists it."""

import numpy as np

from models.contract.bundle import CatalogueItem
from training.data.dataset import PreparedDataset


def catalogue(data: PreparedDataset) -> tuple[CatalogueItem, ...]:
    """Items as the bundle lists them; popularity counts every interaction."""
    popularity = np.bincount(data.histories.items, minlength=data.card.items)
    rows = data.items.select("item_id", "title").iter_rows()
    return tuple(
        CatalogueItem(item_id=item_id, title=title, popularity=int(count))
        for (item_id, title), count in zip(rows, popularity, strict=True)
    )
