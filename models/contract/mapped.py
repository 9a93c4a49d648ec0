"""Arrays of a safetensors file, mapped: read when they are looked at, shared between processes."""

import json
import mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

_DTYPES = {
    "F16": np.float16,
    "F32": np.float32,
    "F64": np.float64,
    "U8": np.uint8,
    "U16": np.uint16,
    "U32": np.uint32,
    "I32": np.int32,
    "I64": np.int64,
}
_HEADER = 8  # bytes that hold the length of the header


def load_mapped(path: Path) -> dict[str, NDArray[Any]]:
    """Every array of the file, read-only.

    The library checks the file and names its arrays, but gives copies of them; where each lies is
    read from the header that it found in order. Raises SafetensorError where it is not, ValueError
    for a type that no bundle has.
    """
    with safe_open(path, framework="numpy") as file:
        names = list(file.keys())
    with path.open("rb") as content:
        mapped = mmap.mmap(content.fileno(), 0, access=mmap.ACCESS_READ)
    start = _HEADER + int.from_bytes(mapped[:_HEADER], "little")
    header = json.loads(mapped[_HEADER:start])
    return {name: _array(mapped, start, name, **header[name]) for name in names}


def _array(
    mapped: mmap.mmap, start: int, name: str, dtype: str, shape: list[int], data_offsets: list[int]
) -> NDArray[Any]:
    if dtype not in _DTYPES:
        raise ValueError(f"array {name} is of type {dtype}, which no bundle has")
    count = (data_offsets[1] - data_offsets[0]) // np.dtype(_DTYPES[dtype]).itemsize
    flat = np.frombuffer(mapped, _DTYPES[dtype], count, start + data_offsets[0])
    return flat.reshape(shape)
