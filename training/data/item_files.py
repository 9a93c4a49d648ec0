"""Files that an item names, or that are named after it: its picture above all.

An item file may come from anybody, so what a row names must lie in the item file's folder: neither
``..``, nor an absolute path, nor a link may lead out. Nothing is fetched: a URL is no file.

What an item names is noted, be it there or not: pictures come and change after the item file. Names
start from the item file's folder, so that a run may move along with it.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from training.config import ItemsConfig

NAMED = pl.col("^.+_path$")  # of items: image_path, and one for each of items.columns.files


class OutsideError(Exception):
    """A row names a file outside the item file's folder."""


class Picture(NamedTuple):
    """An item's picture, as far as it has one."""

    reference: str | None = None  # for pages: a URL, or a path from the item file's folder
    path: str | None = None  # from there, too
    data: bytes | None = None


class ItemFiles:
    """What lies beside one item file."""

    def __init__(self, config: ItemsConfig) -> None:
        self._folder = os.path.realpath(config.path.resolve().parent)
        self._template = config.image_template

    def picture(self, item_id: str, image: Any) -> Picture:
        """What the column ``image`` says, else what the template names. Raises OutsideError."""
        if isinstance(image, bytes):
            return Picture(data=image or None)
        said = image.strip() if isinstance(image, str) else ""
        if said.startswith(("https://", "http://")):
            return Picture(said)
        if said and "://" not in said:
            name = self._inside(said)
            return Picture(name, name)
        name_or_none = self._templated(item_id)
        return Picture(name_or_none, name_or_none)

    def named(self, value: Any) -> str | None:
        """The file that a row names, from the item file's folder. Raises OutsideError."""
        said = value.strip() if isinstance(value, str) else ""
        return self._inside(said) if said and "://" not in said else None

    def paths(self, items: pl.DataFrame) -> Iterator[str]:
        """Of all files that items name, there or not, in the order of ``items.parquet``."""
        for column in items.select(NAMED):
            for name in column.drop_nulls():
                yield os.path.join(self._folder, name)  # noqa: PTH118

    def located(self, items: pl.DataFrame) -> pl.DataFrame:
        """The same items with whole paths of files, null where there is none."""
        found = {
            column.name: pl.Series(map(self._locate, items["item_id"], column), dtype=pl.String)
            for column in items.select(NAMED)
        }
        return items.with_columns(**found)

    def _locate(self, item_id: str, name: str | None) -> str | None:
        """A link may have come since the name was looked at, and must not lead out either."""
        if name is None:
            return None
        try:
            own = name == self._templated(item_id)  # the configuration's, which may lie anywhere
            path = os.path.join(self._folder, name if own else self._inside(name))  # noqa: PTH118
        except OutsideError:
            return None
        return path if os.path.isfile(path) else None  # noqa: PTH113

    def _templated(self, item_id: str) -> str | None:
        if self._template is None or _climbs(item_id):
            return None
        return os.path.normpath(self._template.replace("{item_id}", item_id))

    def _inside(self, name: str) -> str:
        """From the folder: links are followed, so that what is looked at is what is read later."""
        if "\0" in name:
            raise OutsideError(name)  # no file has such a name: somebody tries something
        path = os.path.realpath(os.path.join(self._folder, name))  # noqa: PTH118
        if os.path.commonpath([path, self._folder]) != self._folder:
            raise OutsideError(name)
        return os.path.relpath(path, self._folder)


def _climbs(item_id: str) -> bool:
    """An id such as ``../key`` must not lead out of the folder that the template names."""
    return ".." in Path(item_id).parts or Path(item_id).is_absolute()
