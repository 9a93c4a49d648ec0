"""From start to ready, and the memory of a worker, of large catalogues.

The bundle is drawn: a small model's graph, and tables of any size around it.
"""

import os
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks import drawn
from benchmarks.reliability.program import running
from benchmarks.serving import drawn_bundle
from benchmarks.serving.rows import Row
from models.contract import bundle
from models.contract.bundle import FILES, CatalogueItem
from models.contract.item_vectors import ItemVectors
from models.contract.manifest import onnx_inputs, onnx_outputs
from models.contract.types import FloatArray
from training.export.index import write_index

WHAT = "start"
SIZES = (1_000_000, 10_000_000)
_WORKERS = 2
_AT_ONCE = 100_000
_CREATED = "2026-01-01T00:00:00+00:00"


def rows(sizes: tuple[int, ...]) -> Iterator[Row]:
    """Seconds and megabytes of each size; checked before it serves, and in the background."""
    for items in sizes:
        with tempfile.TemporaryDirectory() as scratch:
            directory = Path(scratch)
            write(directory, items)
            _read_all(directory)
            for verify in ("start", "background"):
                case = f"{items:,} items, verify={verify}"
                yield Row(WHAT, "one worker", case, _start(directory, verify, 1)[0], "s to ready")
            seconds, private = _start(directory, "background", _WORKERS)
            case = f"{items:,} items"
            yield Row(WHAT, f"{_WORKERS} workers", case, seconds, "s to ready")
            yield Row(WHAT, "each further worker", case, private, "MB private")


def write(directory: Path, items: int) -> None:
    """A bundle of so many items, which nobody has learned."""
    with tempfile.TemporaryDirectory() as scratch:
        small = drawn_bundle.write(Path(scratch), drawn_bundle.DEFAULT, 1000)
        for name in (FILES.ONNX, FILES.WEIGHTS, FILES.MODEL_CARD):
            (directory / name).write_bytes((small.directory / name).read_bytes())
        code_SKD = small.vectors.code_SKD.copy()
    config = small.manifest.architecture.model_copy(update={"catalogue_size": items})
    vectors = ItemVectors(
        scored_ND=_normal(items, config.vector_size),
        read_NW=_normal(items, small.vectors.read_NW.shape[1]),
        code_SKD=code_SKD,
        columns=small.vectors.columns,
    )
    catalogue = [CatalogueItem(f"item-{n}", f"Title of item {n}") for n in range(items)]
    bundle.write_tables(directory, catalogue, drawn.semantic_ids(items), vectors)
    write_index(directory, vectors.scored_ND)
    fields = {"name": "drawn", "split": {}, "metrics": {}, "health": {}, "created_at": _CREATED}
    specs = {"onnx_inputs": onnx_inputs(config), "onnx_outputs": onnx_outputs(config)}
    bundle.write_manifest(directory, {**fields, "architecture": config, **specs})


def _normal(items: int, width: int) -> FloatArray:
    random = np.random.default_rng(0)
    vectors_NW = np.empty((items, width), np.float32)
    for first in range(0, items, _AT_ONCE):
        part_NW = vectors_NW[first : first + _AT_ONCE]
        random.standard_normal(dtype=np.float32, out=part_NW)
    return vectors_NW


def _read_all(directory: Path) -> None:
    """Into the page cache, when what was written is on the disk: that takes a core, too."""
    os.sync()
    for path in directory.iterdir():
        with path.open("rb") as file:
            while file.read(2**24):
                pass


def _start(directory: Path, verify: str, workers: int) -> tuple[float, float]:
    """Seconds until it is ready, and private megabytes of its last worker."""
    options = "--provider", "cpu", "--workers", str(workers)
    started = time.monotonic()
    with running(directory, *options, verify=verify) as program:
        seconds = time.monotonic() - started
        last = [program.process.pid, *program.workers()][-1]
        return seconds, _private(last) / 1e6


def _private(pid: int) -> float:
    """Bytes that a process shares with nobody."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return sum(1024.0 * int(kb) for kb in re.findall(r"Private_\w+:\s+(\d+) kB", text))
