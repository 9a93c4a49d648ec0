"""An item's text or picture: its key, and the content itself when an encoder needs it."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

import polars as pl
from PIL.Image import Image

from training.encoders.cache import content_key
from training.encoders.pictures import PictureError, decode, pillow_warnings, read_picture

Loaded_co = TypeVar("Loaded_co", covariant=True)


class Reject(NamedTuple):
    """A picture that could not be used, and why."""

    item_id: str
    source: str
    reason: str


class Contents(Protocol[Loaded_co]):
    """One modality of a catalogue. ``keys[i]`` is None where item i has nothing."""

    @property
    def keys(self) -> Sequence[bytes | None]:
        """One key an item, in item_index order."""

    def load(self, rows: Sequence[int]) -> Sequence[Loaded_co | None]:
        """What to encode for these rows; None where it turns out to be unusable."""

    def rejects(self) -> Iterator[Reject]:
        """Everything found unusable so far."""


class Texts:
    """The column ``text``; null or blank is missing."""

    def __init__(self, items: pl.DataFrame) -> None:
        self._texts = [(text or "").strip() for text in items["text"]]
        self.keys = [content_key(text.encode()) if text else None for text in self._texts]

    def load(self, rows: Sequence[int]) -> Sequence[str]:
        """The texts, without surrounding blanks."""
        return [self._texts[row] for row in rows]

    def rejects(self) -> Iterator[Reject]:
        """A text cannot be corrupt: the reader has seen to its encoding."""
        return iter(())


class Pictures:
    """The columns ``image_bytes`` and ``image_path``; where an item has both, bytes win."""

    def __init__(self, items: pl.DataFrame) -> None:
        self._ids, self._paths, self._blobs = (
            items[name] for name in ("item_id", "image_path", "image_bytes")
        )
        self._unreadable: dict[int, str] = {}
        self._undecodable: dict[bytes, str] = {}
        self.keys = [self._key(row) for row in range(len(items))]

    def load(self, rows: Sequence[int]) -> Sequence[Image | None]:
        """Pictures decoded beside each other: Pillow lets go of the interpreter's lock."""
        with pillow_warnings(), ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            return list(pool.map(self._decode, rows))

    def rejects(self) -> Iterator[Reject]:
        """Unreadable and undecodable pictures, in item_index order."""
        for row, key in enumerate(self.keys):
            reason = self._undecodable.get(key) if key else self._unreadable.get(row)
            if reason is not None:
                source = "image_bytes" if self._blobs[row] else str(self._paths[row])
                yield Reject(self._ids[row], source, reason)

    def _key(self, row: int) -> bytes | None:
        try:
            data = self._read(row)
        except PictureError as error:
            self._unreadable[row] = str(error)
            return None
        return content_key(data) if data else None

    def _read(self, row: int) -> bytes | None:
        blob: bytes | None = self._blobs[row]
        path: str | None = self._paths[row]
        if blob:
            return blob
        return read_picture(Path(path)) if path and path.strip() else None

    def _decode(self, row: int) -> Image | None:
        try:
            return decode(self._read(row) or b"")
        except PictureError as error:
            if key := self.keys[row]:
                self._undecodable[key] = str(error)
            return None
