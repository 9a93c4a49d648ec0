"""``[encode.image]``: pictures, by EfficientNet-Lite0 unless another model is named."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
from PIL import Image

from models.contract.pictures import PictureError, decode
from training.encoders.cache import content_key
from training.encoders.contents import Reject
from training.encoders.interface import Encoder
from training.encoders.kinds import Kind
from training.encoders.pictures import pillow_warnings, read_picture


class Pictures:
    """The columns ``image_bytes`` and ``image_path``; where an item has both, bytes win."""

    def __init__(self, items: pl.DataFrame) -> None:
        self._ids, self._paths, self._blobs = (
            items[name] for name in ("item_id", "image_path", "image_bytes")
        )
        self._unreadable: dict[int, str] = {}
        self._undecodable: dict[bytes, str] = {}
        self.keys = [self._key(row) for row in range(len(items))]

    def load(self, rows: Sequence[int]) -> Sequence[Image.Image | None]:
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

    def _decode(self, row: int) -> Image.Image | None:
        try:
            return decode(self._read(row) or b"")
        except PictureError as error:
            if key := self.keys[row]:
                self._undecodable[key] = str(error)
            return None


def image_encoder(name: str) -> Encoder[Image.Image]:
    """The image encoder of this name; heavy packages are imported only when asked for."""
    if name in ("default", "efficientnet-lite0"):
        from training.encoders.efficientnet import EfficientNetEncoder

        return EfficientNetEncoder()
    from training.encoders.named import NamedEncoder

    return NamedEncoder(name, Image.new("RGB", (64, 64), "gray"))


KIND = Kind("pictures", Pictures, image_encoder)
