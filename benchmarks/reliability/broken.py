"""Ways in which a bundle may be broken: each is done to a folder, and must never serve."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import onnx
from onnx import numpy_helper

from models.contract.bundle import FILES, MANIFEST
from models.contract.manifest import sha256


def flip(name: str, bundle: Path) -> None:
    """One bit of a file is another."""
    path = bundle / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    _write(path, bytes(content))


def cut(bundle: Path) -> None:
    """Half-written."""
    path = bundle / FILES.ITEM_VECTORS
    _write(path, path.read_bytes()[:1000])


def give_no_numbers(bundle: Path) -> None:
    """The graph gives NaN, and the manifest agrees: it was exported so."""
    path = bundle / FILES.ONNX
    graph = onnx.load(path)
    for tensor in graph.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor) * float("nan")
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    _write(path, graph.SerializeToString())
    files = json.loads((bundle / MANIFEST).read_text(encoding="utf-8"))["files"]
    files[FILES.ONNX] = {"sha256": sha256(path), "bytes": path.stat().st_size}
    edit(bundle, files=files)


def edit(bundle: Path, **fields: object) -> None:
    """Other fields in the manifest."""
    path = bundle / MANIFEST
    manifest = json.loads(path.read_text(encoding="utf-8"))
    _write(path, json.dumps({**manifest, **fields}).encode())


def _write(path: Path, content: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(content)


BROKEN: dict[str, Callable[[Path], None]] = {
    **{f"a flipped bit in {name}": partial(flip, name) for name in FILES.ALL},
    "another schema": lambda bundle: edit(bundle, schema_version=99),
    "half-written": cut,
    "a graph that gives NaN": give_no_numbers,
    "no manifest": lambda bundle: (bundle / MANIFEST).unlink(),
}
