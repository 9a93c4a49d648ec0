"""Training over a million items: seconds a step and peak memory, no tokens x catalogue anywhere.

    python -m benchmarks.train_1m

The catalogue and the log are drawn; the model, the loss and the loop are those of every run. Once
with every row of the tables updated in every step, once with those that it touches alone, and once
over a small catalogue, which is what a step costs at least. Each is a process of its own, for its
peak; they take turns.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Literal

import lightning as L
import numpy as np
import torch
import typer
from rich.console import Console

from benchmarks import drawn
from benchmarks.timed import fit, now
from training import stage_files
from training.config import FitConfig
from training.data.histories import Histories

REPORT = Path(__file__).parents[1] / "docs" / "benchmarks" / "train_1m.json"
HISTORY = 20
GIB = 2**30
_SMALL = 12_000


class StepClock(L.Callback):
    """Seconds of every step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_batch_start(self, *_: Any) -> None:
        self.began = time.perf_counter()

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
        self.seconds.append(now(module) - self.began)


def log(items: int, users: int) -> Histories:
    """Every user has HISTORY + 1 items, some far more popular than others."""
    count = users * (HISTORY + 1)
    popular = (np.random.default_rng(2).random(count) ** 3 * items).astype(np.int32)
    return Histories(np.arange(users + 1) * (HISTORY + 1), popular, np.zeros(count, np.uint8))


def measure(
    items: int,
    rows_from: int,
    steps: int,
    threads: int,
    accelerator: Literal["cpu", "gpu"] = "cpu",
) -> dict[str, float]:
    """Median seconds of a step but the first, and peak memory of this process."""
    torch.set_num_threads(threads)
    config = FitConfig(blocks=1, rows_from=rows_from, accelerator=accelerator)
    histories = log(items, users=config.batch_tokens // HISTORY * (steps + 1))
    table = drawn.semantic_ids(items)
    model, clock = drawn.sequence_model(config, table, histories), StepClock()
    before = _peak()
    fit(model, table, histories, config, clock, limit_train_batches=steps)
    return {
        "seconds": float(np.median(clock.seconds[1:])),
        "peak": _peak(),
        "before": before,
        "weights": sum(weight.numel() * 4 for weight in model.parameters()) / GIB,
    }


def _peak() -> float:
    """Most memory of this process until now, GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB


def main(
    items: int = 1_000_000,
    steps: int = 20,
    threads: int = 2,
    turns: int = 3,
    alone: Annotated[int | None, typer.Option(help="Measure this, with rows from so many.")] = None,
) -> None:
    """Train some steps each way and write docs/benchmarks/train_1m.json."""
    if alone is not None:
        sys.stdout.write(json.dumps(measure(items, alone, steps, threads)) + "\n")
        return
    ways = {"all rows": (items, items), "touched": (items, 0), "small": (_SMALL, _SMALL)}
    taken: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for _ in range(turns):
        for way, (size, rows_from) in ways.items():
            taken[way].append(_alone(size, rows_from, steps, threads))
    best = {way: min(each["seconds"] for each in turns) for way, turns in taken.items()}
    whole, rows = taken["all rows"][0], taken["touched"][0]
    positions = FitConfig().batch_tokens
    found = {
        "items": items,
        "positions a step": positions,
        "seconds a step": round(best["touched"], 2),
        "with every row updated": round(best["all rows"], 2),
        "times as fast": round(best["all rows"] / best["touched"], 1),
        f"seconds a step over {_SMALL} items": round(best["small"], 2),
        "peak GiB": round(max(each["peak"] for each in taken["touched"]), 2),
        "peak GiB with every row updated": round(whole["peak"], 2),
        "GiB before training": round(rows["before"], 2),
        "GiB of weights": round(rows["weights"], 2),
        "GiB of logits over all items, not made": round(positions * items * 4 / GIB, 2),
    }
    Console().print(found)
    stage_files.write_json(REPORT, found)


def _alone(items: int, rows_from: int, steps: int, threads: int) -> dict[str, float]:
    told = f"--items={items} --steps={steps} --threads={threads} --alone={rows_from}".split()
    command = [sys.executable, "-m", "benchmarks.train_1m", *told]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    typer.run(main)
