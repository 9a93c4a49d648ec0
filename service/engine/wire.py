"""Frames between the processes of one service: a header of JSON, then arrays as they lie in memory.

No pickle: what comes is text, and numbers of the types that are named here. What is no frame, or is
larger than any that is sent, is refused before memory is taken for it.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json, to_json

MOST_BYTES = 2**28  # of a frame's arrays
MOST_HEADER = 2**20  # bytes
PIECE = 2**18  # bytes that are read at once
_SIZES = struct.Struct("=II")  # bytes of the header, and of all arrays
_WORD = 8  # bytes: libraries are given the address of an array, which has to be a multiple of it
INT64, FLOAT32, UINT16, UINT8 = map(np.dtype, ("int64", "float32", "uint16", "uint8"))
_TYPES = {each.str: each for each in (INT64, FLOAT32, UINT16, UINT8)}


class FrameError(Exception):
    """What came is no frame, or what is to be sent would be none."""


class Frame(NamedTuple):
    """One message."""

    header: Mapping[str, Any]
    arrays: Sequence[NDArray[Any]] = ()

    def packed(self) -> bytes:
        """As it is sent. Raises FrameError where it is too large."""
        arrays = [np.ascontiguousarray(array) for array in self.arrays]
        shapes = [(array.dtype.str, *array.shape) for array in arrays]
        header = to_json((self.header, shapes))
        size = sum(_filled(array.nbytes) for array in arrays)
        if len(header) > MOST_HEADER or size > MOST_BYTES:
            raise FrameError(f"a frame of {len(header) + size:,} bytes is too large")
        parts: list[Any] = [_SIZES.pack(len(header), size), header]
        for array in arrays:
            parts += array, bytes(-array.nbytes % _WORD)
        return b"".join(parts)


class Incoming:
    """Bytes as they come, in whatever pieces -> whole frames."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, piece: bytes) -> list[Frame]:
        """What is whole now. Raises FrameError for what will never be: nothing after it is one."""
        self._held += piece
        frames = []
        while (frame := self._next()) is not None:
            frames.append(frame)
        return frames

    def _next(self) -> Frame | None:
        if len(self._held) < _SIZES.size:
            return None
        header, size = _SIZES.unpack_from(self._held)
        if header > MOST_HEADER or size > MOST_BYTES:
            raise FrameError(f"a frame of {header + size:,} bytes is too large")
        begin = _SIZES.size + header
        if len(self._held) < begin + size:
            return None
        told, body = bytes(self._held[_SIZES.size : begin]), self._held[begin : begin + size]
        del self._held[: begin + size]
        return _unpacked(told, body)


def _unpacked(told: bytes, body: bytearray) -> Frame:
    """The arrays lie in ``body``, which is theirs."""
    arrays, at = [], 0
    try:
        header, shapes = from_json(told)
        for name, *shape in shapes:
            if min(shape, default=0) < 0:
                raise ValueError("a negative size")
            array: NDArray[Any] = np.ndarray(shape, _TYPES[name], body, at)
            arrays.append(array)
            at += _filled(array.nbytes)
    except (ValueError, TypeError, KeyError) as error:
        raise FrameError(f"not a frame: {error}") from error
    if at != len(body) or not isinstance(header, dict):
        raise FrameError("not a frame: header and arrays do not fit")
    return Frame(header, arrays)


def _filled(size: int) -> int:
    return size + -size % _WORD
