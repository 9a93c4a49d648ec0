"""Files that an item names, or that are named after it: its picture above all.

An item file may come from anybody, so what a row names must lie in the item file's folder: neither
``..``, nor an absolute path, nor a link may lead out. Nothing is fetched: a URL is no file.
"""

import os
from pathlib import Path
from typing import Any, NamedTuple

from training.config import ItemsConfig


class OutsideError(Exception):
    """A row names a file outside the item file's folder."""


class Picture(NamedTuple):
    """An item's picture, as far as it has one."""

    reference: str | None = None  # for pages: a URL, or a path from the item file's folder
    path: str | None = None  # an existing file
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
            path = self._inside(said)
            return Picture(os.path.relpath(path, self._folder), _if_file(path))
        if self._template is None or _climbs(item_id):
            return Picture()
        name = self._template.replace("{item_id}", item_id)
        found = _if_file(os.path.normpath(os.path.join(self._folder, name)))  # noqa: PTH118
        return Picture(found and os.path.relpath(found, self._folder), found)

    def named(self, value: Any) -> str | None:
        """Path of the file that a row names, if it is there. Raises OutsideError."""
        said = value.strip() if isinstance(value, str) else ""
        return _if_file(self._inside(said)) if said and "://" not in said else None

    def _inside(self, name: str) -> str:
        """The real path: links are followed, so that what is looked at is what is read later."""
        if "\0" in name:
            raise OutsideError(name)  # no file has such a name: somebody tries something
        path = os.path.realpath(os.path.join(self._folder, name))  # noqa: PTH118
        if os.path.commonpath([path, self._folder]) != self._folder:
            raise OutsideError(name)
        return path


def _if_file(path: str) -> str | None:
    return path if os.path.isfile(path) else None  # noqa: PTH113


def _climbs(item_id: str) -> bool:
    """An id such as ``../key`` must not lead out of the folder that the template names."""
    return ".." in Path(item_id).parts or Path(item_id).is_absolute()
