"""Seconds of a training epoch: ours against RecTools' SASRec, at equal size, in one run.

    python -m benchmarks.epoch_time [SEQUENCES]

The peer lives in an environment of its own (``benchmarks/peers``). Both sides: same training
sequences, width 64, 1 block, 1 head, history 50, 256 negatives, same number of threads, first epoch
dropped as warm-up. Ours runs as it is by default, two towers and words included, then with what the
peer has too: one tower of item vectors, with similarity buckets and without.
"""

import json
import subprocess
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from benchmarks import drawn
from benchmarks.peers.environment import ROOT, rectools_python
from benchmarks.timed import EpochClock, fit
from models.contract.config import Towers
from models.contract.ragged import before_each
from training import stage_files
from training.config import FitConfig
from training.data.histories import Histories

DEFAULT = ROOT / "../shared/data/amazon_beauty/sequences.txt"
WIDTH, BLOCKS, HEADS, HISTORY, NEGATIVES = 64, 1, 1, 50, 256
BOTH: Towers = (("words", "id"), ("words", "codes", "id"))
ONE: Towers = (("codes", "id"),)


def ours(path: Path, epochs: int, towers: Towers, reweighting: bool) -> list[float]:
    """Seconds an epoch of our trainer on the training part of the same file."""
    histories, catalogue_size = training_part(path)
    table = drawn.semantic_ids(catalogue_size)
    config = FitConfig(
        width=WIDTH,
        blocks=BLOCKS,
        heads=HEADS,
        towers=towers,
        max_history=HISTORY,
        negatives=NEGATIVES,
        reweighting=reweighting,
        batch_tokens=2048,
    )
    model, clock = drawn.sequence_model(config, table, histories), EpochClock()
    fit(model, table, histories, config, clock, epochs=epochs)
    seconds: list[float] = clock.training()[1:].tolist()
    return seconds


def training_part(path: Path) -> tuple[Histories, int]:
    """All but the last two items of each ``user item item ...`` line."""
    rows = [line.split()[1:-2] for line in path.read_text().splitlines()]
    lengths = [len(row) for row in rows]
    items, index = np.unique(np.concatenate(rows), return_inverse=True)
    parts = np.zeros(len(index), np.uint8)
    return Histories(before_each(lengths), index.astype(np.int32), parts), len(items)


def theirs(path: Path, epochs: int, threads: int) -> list[float]:
    """Seconds an epoch of RecTools, from its own environment."""
    sizes = map(str, (WIDTH, BLOCKS, HEADS, HISTORY, NEGATIVES, epochs, threads))
    script = ROOT / "benchmarks" / "peers" / "rectools_epoch.py"
    command: list[str | Path] = [rectools_python(), script, path, *sizes]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return [float(json.loads(line)["seconds"]) for line in lines][1:]


def main(
    path: Annotated[Path, typer.Argument(help="`user item item ...` lines")] = DEFAULT,
    epochs: Annotated[int, typer.Option(min=2)] = 3,
    threads: int = 2,
) -> None:
    """Time both, print one table, and write docs/benchmarks/epoch_time.json."""
    torch.set_num_threads(threads)
    rows = {
        "bbqrec": ours(path, epochs, BOTH, True),
        "bbqrec, one tower": ours(path, epochs, ONE, True),
        "bbqrec, one tower, no reweighting": ours(path, epochs, ONE, False),
        "RecTools 0.19 SASRec": theirs(path, epochs, threads),
    }
    medians = {name: float(np.median(seconds)) for name, seconds in rows.items()}
    peer = medians["RecTools 0.19 SASRec"]
    table = Table(title=f"Seconds an epoch, {path.parent.name}, {threads} threads, median")
    for name in ("trainer", "seconds", "times faster than the peer"):
        table.add_column(name, justify="left" if name == "trainer" else "right")
    for name, seconds in medians.items():
        table.add_row(name, f"{seconds:.1f}", f"{peer / seconds:.1f}")
    Console().print(table)
    report = ROOT / "docs" / "benchmarks" / "epoch_time.json"
    fields = [
        {"trainer": name, "seconds": round(seconds, 2), "ratio": round(peer / seconds, 1)}
        for name, seconds in medians.items()
    ]
    stage_files.write_json(report, fields)


if __name__ == "__main__":
    typer.run(main)
