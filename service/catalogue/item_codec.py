"""How an item's codes look as bytes: int32 item_index, then uint16 codes, little-endian."""

import struct
from typing import NamedTuple

import numpy as np

from models.contract.bundle import Bundle
from models.contract.config import CodeSpace
from models.contract.types import ItemCodes

_INDEX = struct.Struct("<i")


class ItemCodec(NamedTuple):
    """Writes and reads the codes of one bundle's code space."""

    space: CodeSpace
    catalogue_size: int

    @classmethod
    def of(cls, bundle: Bundle) -> "ItemCodec":
        """The codec of a bundle."""
        return cls(bundle.manifest.architecture.code_space, len(bundle.catalogue))

    def encode(self, item: ItemCodes) -> bytes:
        """4 + 2 S bytes."""
        return _INDEX.pack(item.item_index) + item.codes.astype("<u2").tobytes()

    def decode(self, value: object) -> ItemCodes | None:
        """The inverse; None for whatever the model could not take: the source is not trusted."""
        if not isinstance(value, bytes) or len(value) != _INDEX.size + 2 * self.space.slots:
            return None
        (index,) = _INDEX.unpack_from(value)
        codes = np.frombuffer(value, "<u2", offset=_INDEX.size).astype(np.uint16)
        null_ML = codes.reshape(-1, self.space.levels) == self.space.null_code
        half_missing = (null_ML.any(axis=1) != null_ML.all(axis=1)).any()
        if not 0 <= index <= self.catalogue_size or codes.max() > self.space.null_code:
            return None
        return None if half_missing else ItemCodes(index, codes)
