"""Vectors by content: what was encoded once is never encoded again.

One folder an encoder; in it, shards of (keys, vectors), only ever added. A key is the SHA-256 of
the content. The encoder's name is in the folder's name, so a changed encoder starts afresh.
"""

import hashlib
import logging
import os
import re
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from models.contract.types import FloatArray
from training.errors import UserError

KEY_BYTES = 32
logger = logging.getLogger(__name__)


def content_key(content: bytes) -> bytes:
    """The name under which the vector of this content is kept."""
    return hashlib.sha256(content).digest()


class Shard(NamedTuple):
    """Keys and vectors of some contents, in one file."""

    keys_RK: NDArray[np.uint8]
    vectors_RX: FloatArray

    def to_bytes(self) -> bytes:
        """The file's content; a checksum goes along, because a flipped bit is a valid float."""
        arrays: dict[str, NDArray[Any]] = {
            "keys": self.keys_RK,
            "vectors": self.vectors_RX,
            "checksum": self._checksum(),
        }
        return save(arrays)

    @classmethod
    def from_bytes(cls, content: bytes, size: int) -> "Shard":
        """The inverse; ValueError when this is not what ``to_bytes`` made."""
        try:
            arrays = load(content)
            shard = cls(arrays["keys"], arrays["vectors"])
            checksum = arrays["checksum"]
        except (SafetensorError, KeyError) as error:
            raise ValueError(f"{error}") from error
        rows = len(shard.keys_RK)
        if shard.keys_RK.shape != (rows, KEY_BYTES) or shard.vectors_RX.shape != (rows, size):
            raise ValueError("its shapes are wrong")
        if not np.array_equal(checksum, shard._checksum()):
            raise ValueError("its checksum differs")
        return shard

    def _checksum(self) -> NDArray[np.uint8]:
        digest = content_key(self.keys_RK.tobytes() + self.vectors_RX.tobytes())
        return np.frombuffer(digest, np.uint8)


class VectorCache:
    """The vectors that one encoder has made."""

    def __init__(self, root: Path, encoder_name: str, size: int) -> None:
        readable = re.sub(r"[^A-Za-z0-9._-]+", "-", encoder_name)[:60]
        digest = content_key(encoder_name.encode()).hex()[:12]
        self.folder = root / f"{readable}-{digest}"
        self.size = size

    def read(self, wanted: Container[bytes]) -> Iterator[tuple[bytes, FloatArray]]:
        """Every kept (key, vector) whose key is wanted, holding one shard in memory at a time."""
        for path in sorted(self.folder.glob("*.safetensors")):
            try:
                shard = Shard.from_bytes(path.read_bytes(), self.size)
            except (OSError, ValueError) as error:
                logger.warning("ignoring %s, its items are encoded again: %s", path, error)
                continue
            for key_K, vector_X in zip(shard.keys_RK, shard.vectors_RX, strict=True):
                if (key := key_K.tobytes()) in wanted:
                    yield key, vector_X

    def append(self, keys: Sequence[bytes], vectors_RX: FloatArray) -> None:
        """Add a shard, whole or not at all.

        It is named after its keys: encoding the items of a corrupt shard again replaces it.
        """
        joined = b"".join(keys)
        keys_RK = np.frombuffer(joined, np.uint8).reshape(len(keys), KEY_BYTES)
        path = self.folder / f"{content_key(joined).hex()[:24]}.safetensors"
        partial = path.with_suffix(f".{os.getpid()}.partial")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(Shard(keys_RK, vectors_RX).to_bytes())
            partial.replace(path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise UserError(
                f"the cache {self.folder} cannot be written: {error.strerror}"
            ) from error
