"""Epochs over a log like Beauty's; then steps over many items, beside this machine's CPU."""

from collections.abc import Iterator
from typing import Literal

import torch

from benchmarks import epochs_like_beauty
from benchmarks.gpu.rows import Row, Where
from benchmarks.train_1m import measure
from training.config import FitConfig

_EPOCH_GOAL = 0.4  # s over a log like Beauty's
_TIMES_GOAL = 10  # as many positions a second as on the CPU


def train(where: Where) -> Iterator[Row]:
    """Seconds an epoch, and positions a second."""
    accelerator: Literal["cpu", "gpu"] = "gpu" if where.on_gpu else "cpu"
    for way, epoch in epochs_like_beauty.measure(accelerator, small=where.small):
        goal = _EPOCH_GOAL if way.as_default else None
        yield Row("training, like Beauty", way.told, epoch.training, "s an epoch", goal=goal)
        yield Row("with validation and checkpoints", way.told, epoch.whole, "s an epoch")
    items, few = (2_000, 1_000) if where.small else (1_000_000, 100_000)
    here = _rate(items, few, "cpu", where)
    yield Row("training, steps of 8,192", f"{items:,} items, cpu", here, "positions a second")
    if where.on_gpu:
        for rows_from, told in (items, "every row updated"), (few, "touched rows updated"):
            size, rate = f"{items:,} items, {told}", _rate(items, rows_from, "gpu", where)
            goal = _TIMES_GOAL * here
            yield Row("training, steps of 8,192", size, rate, "positions a second", goal=goal)


def _rate(items: int, rows_from: int, on: Literal["cpu", "gpu"], where: Where) -> float:
    steps = 3 if where.small or on == "cpu" else 20
    found = measure(items, rows_from, steps, torch.get_num_threads(), on)
    return float(FitConfig().batch_tokens / found["seconds"])
