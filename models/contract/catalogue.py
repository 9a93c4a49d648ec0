"""The catalogue as the bundle holds it: columns and an id map, mapped, no Python object an item."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self, overload

import marisa_trie
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from models.contract.mapped import load_mapped
from models.contract.ragged import each_once
from models.contract.text_column import TextColumn, text_arrays
from models.contract.types import FloatArray

_TEXTS = ("item_id", "title", "attributes", "picture")


class CatalogueItem(NamedTuple):
    """One row of the catalogue; its number is the item_index."""

    item_id: str
    title: str | None = None
    popularity: int = 0  # interactions in the training data
    attributes: str | None = None  # as given, a JSON object
    picture: str | None = None  # where it lies, as given
    recent: float | None = None  # the same, what is longer ago counting less; None: all alike
    first_used: int = 0  # when it was first interacted with, seconds since 1970; 0: not known


class IdMap:
    """item_id -> item_index, in a trie that is mapped from its file."""

    def __init__(self, trie: marisa_trie.Trie, row_of_key_N: NDArray[np.int32]) -> None:
        self._trie = trie
        self._row_of_key = row_of_key_N.data

    def __len__(self) -> int:
        return len(self._trie)

    def fits(self, size: int) -> bool:
        """Whether every id has a row of its own, of so many."""
        return each_once(np.asarray(self._row_of_key), size)

    def get(self, item_id: str) -> int | None:
        """The item's row, None where the bundle does not know it."""
        if "\0" in item_id:  # where the library would stop reading
            return None
        try:
            key = self._trie.get(item_id)
        except UnicodeEncodeError:  # half of a surrogate pair: no item's name
            return None
        return None if key is None else self._row_of_key[key]


@dataclass(frozen=True)
class Catalogue(Sequence[CatalogueItem]):
    """Columns of the catalogue, one value an item.

    by_popularity_N: rows, most used first, of late. recent_N: by that; first_used_N: unix seconds.
    """

    item_ids: TextColumn
    titles: TextColumn
    attributes: TextColumn
    pictures: TextColumn
    popularity_N: NDArray[np.int64]
    recent_N: FloatArray
    by_popularity_N: NDArray[np.int32]
    first_used_N: NDArray[np.int64]
    rows: IdMap

    def __len__(self) -> int:
        return len(self.item_ids)

    @overload
    def __getitem__(self, row: int) -> CatalogueItem: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[CatalogueItem]: ...
    def __getitem__(self, row: int | slice) -> CatalogueItem | Sequence[CatalogueItem]:
        if isinstance(row, slice):
            return [self[n] for n in range(*row.indices(len(self)))]
        return CatalogueItem(
            item_id=self.id_of(row),
            title=self.titles[row],
            popularity=int(self.popularity_N[row]),
            attributes=self.attributes[row],
            picture=self.pictures[row],
            recent=float(self.recent_N[row]),
            first_used=int(self.first_used_N[row]),
        )

    def __iter__(self) -> Iterator[CatalogueItem]:
        return (self[row] for row in range(len(self)))

    def id_of(self, row: int) -> str:
        """The item_id of a row."""
        return self.item_ids[row] or ""

    def check(self) -> Self:
        """Itself. Raises ValueError for columns that do not fit each other."""
        size = len(self)
        texts = self.item_ids, self.titles, self.attributes, self.pictures
        numbers = self.popularity_N, self.recent_N, self.first_used_N
        fit = all(text.fits(size) for text in texts)
        if not fit or any(column.shape != (size,) for column in numbers):
            raise ValueError("columns of the catalogue do not fit each other")
        if not np.isfinite(self.recent_N).all():
            raise ValueError("the catalogue says no number how often an item is used")
        if not (each_once(self.by_popularity_N, size) and self.rows.fits(size)):
            raise ValueError("the catalogue names rows that do not exist, or one of them twice")
        return self

    @classmethod
    def load(cls, columns: Path, ids: Path) -> Self:
        """Map both files. Raises ValueError, KeyError, RuntimeError or OSError for others."""
        arrays = load_mapped(columns)
        trie = marisa_trie.Trie()
        trie.mmap(str(ids))
        return cls(
            item_ids=TextColumn.of_arrays(arrays, "item_id"),
            titles=TextColumn.of_arrays(arrays, "title"),
            attributes=TextColumn.of_arrays(arrays, "attributes"),
            pictures=TextColumn.of_arrays(arrays, "picture"),
            popularity_N=arrays["popularity"],
            recent_N=arrays.get("recent", arrays["popularity"].astype(np.float32)),
            by_popularity_N=arrays["by_popularity"],
            first_used_N=arrays.get("first_used", np.zeros_like(arrays["popularity"])),
            rows=IdMap(trie, arrays["row_of_key"]),
        )


def write_catalogue(columns: Path, ids: Path, items: Sequence[CatalogueItem]) -> None:
    """Write both files. Raises ValueError for ids that are not unique names."""
    item_ids = [item.item_id for item in items]
    trie = marisa_trie.Trie(item_ids)
    if len(trie) != len(item_ids) or "" in trie or any("\0" in item_id for item_id in item_ids):
        raise ValueError("an item_id is empty, or there twice, or holds a zero byte")
    row_of_key = np.empty(len(item_ids), np.int32)
    row_of_key[[trie[item_id] for item_id in item_ids]] = np.arange(len(item_ids))
    popularity = np.array([item.popularity for item in items], np.int64)
    recent = [i.popularity if i.recent is None else i.recent for i in items]
    arrays: dict[str, NDArray[Any]] = {
        "row_of_key": row_of_key,
        "popularity": popularity,
        "recent": np.array(recent, np.float32),
        "by_popularity": np.argsort(-np.array(recent), kind="stable").astype(np.int32),
        "first_used": np.array([item.first_used for item in items], np.int64),
    }
    fields = zip(*((i.item_id, i.title, i.attributes, i.picture) for i in items), strict=True)
    for name, texts in zip(_TEXTS, fields, strict=True):
        arrays |= text_arrays(name, texts)
    save_file(arrays, columns)
    trie.save(str(ids))
