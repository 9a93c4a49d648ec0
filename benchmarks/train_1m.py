"""Training over a million items: seconds a step and peak memory, no tokens x catalogue anywhere.

    python -m benchmarks.train_1m

The catalogue and the log are drawn; the model, the loss and the loop are those of every run.
"""

import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import typer
from rich.console import Console

from benchmarks import drawn
from training.config import FitConfig
from training.data.histories import Histories
from training.fit.fit_sequence import fit_sequence
from training.progress import trainer_options

REPORT = Path(__file__).parents[1] / "docs" / "benchmarks" / "train_1m.json"
HISTORY = 20
GIB = 2**30


def log(items: int, users: int) -> Histories:
    """Every user has HISTORY + 1 items, some far more popular than others."""
    count = users * (HISTORY + 1)
    popular = (np.random.default_rng(2).random(count) ** 3 * items).astype(np.int32)
    return Histories(np.arange(users + 1) * (HISTORY + 1), popular, np.zeros(count, np.uint8))


def main(items: int = 1_000_000, steps: int = 30, threads: int = 2) -> None:
    """Train some steps and write docs/benchmarks/train_1m.json."""
    torch.set_num_threads(threads)
    config = FitConfig(blocks=1)
    histories = log(items, users=config.batch_tokens // HISTORY * (steps + 1))
    table = drawn.semantic_ids(items)
    model = drawn.sequence_model(config, table, histories)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        started = time.perf_counter()
        options = {**trainer_options(directory), "enable_progress_bar": False}
        fit_sequence(
            model, table, histories, None, config, 1, 0, directory,
            limit_train_batches=steps, **options,
        )  # fmt: skip
        seconds = (time.perf_counter() - started) / steps
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    weights = sum(weight.numel() * 4 for weight in model.parameters())
    found = {
        "items": items,
        "positions a step": config.batch_tokens,
        "seconds a step": round(seconds, 2),
        "peak GiB": round(peak / GIB, 2),
        "GiB before training": round(before / GIB, 2),
        "GiB of weights": round(weights / GIB, 2),
        "GiB of logits over all items, not made": round(config.batch_tokens * items * 4 / GIB, 2),
    }
    Console().print(found)
    REPORT.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)
