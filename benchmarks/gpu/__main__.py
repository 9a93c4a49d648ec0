"""What a GPU gives: ``python -m benchmarks.gpu``, on any machine where torch finds one; no network.

Results go to the folder $OUT as they come (docs/benchmarks without it): ``gpu.json``, rows of
{what, size, value, unit, floor, goal, met, device}, and ``gpu.md``. ``--device cpu --small`` runs
the same code anywhere, which says nothing of a GPU.
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from benchmarks.gpu.checks import checks
from benchmarks.gpu.engine import engines, profile
from benchmarks.gpu.http import http
from benchmarks.gpu.rows import Row, Where, write
from benchmarks.gpu.search import search
from benchmarks.gpu.train import train
from service.runtime import Device

PARTS: dict[str, Callable[[Where], Iterator[Row]]] = {
    "checks": checks, "search": search, "engine": engines, "http": http, "train": train,
    "profile": profile,
}  # fmt: skip


def main(
    device: Annotated[Device, typer.Option(help="Which is measured.")] = "cuda",
    parts: Annotated[str, typer.Option(help="Which, separated by commas.")] = ",".join(PARTS),
    small: Annotated[bool, typer.Option(help="To see that it runs.")] = False,
) -> None:
    """Measure, and write what was measured after each row."""
    if device == "cuda" and not torch.cuda.is_available():
        Console().print("torch finds no CUDA device here; --device cpu --small runs the same code")
        raise typer.Exit(1)
    name = torch.cuda.get_device_name() if device == "cuda" else "cpu (a stand-in)"
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        where = Where(device, small, Path(scratch))
        for part in parts.split(","):
            for row in PARTS[part](where):
                rows.append(row)
                Console().print(row)
                write(rows, name)


if __name__ == "__main__":
    typer.run(main)
