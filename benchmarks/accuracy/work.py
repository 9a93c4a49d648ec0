"""Jobs beside each other: one process and one thread each, and a progress bar over all."""

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.accuracy.jobs import Workshop
from benchmarks.accuracy.models import as_measured, configured
from benchmarks.accuracy.store import Store
from training.config import RunConfig, load
from training.run.pipeline import Pipeline
from training.run.stages import STAGES

ROOT = Path(__file__).parents[2]
CONFIGS, DOCS = ROOT / "configs", ROOT / "docs/benchmarks"
WORKSHOP = Workshop(Store(DOCS / "accuracy-results"), ROOT / "artifacts" / "accuracy")
TRIALS = DOCS / "accuracy-trials.jsonl"
Done = TypeVar("Done")
console = Console()


def read(dataset: str) -> RunConfig:
    """``configs/<dataset>.toml``, as its tables were first measured."""
    return as_measured(load(CONFIGS / f"{dataset}.toml"))


def configuration(dataset: str, accelerator: str = "cpu") -> RunConfig:
    """The same, with its data prepared and encoded."""
    config = configured(read(dataset), {"fit.accelerator": accelerator})
    Pipeline(config, STAGES).complete(console.print, "prepare", "encode")
    return config


def run_all(
    tasks: Iterable[tuple[str, Callable[[], Done]]], workers: int, title: str
) -> Iterator[tuple[str, Done]]:
    """Results of picklable tasks as they finish. One that fails is named, the others go on."""
    named = list(tasks)
    context = multiprocessing.get_context("spawn")
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        Progress(*columns, console=console) as progress,
        ProcessPoolExecutor(workers, context, initializer=_quiet) as pool,
    ):
        bar = progress.add_task(title, total=len(named))
        futures: dict[Future[Done], str] = {pool.submit(task): name for name, task in named}
        for future in as_completed(futures):
            progress.advance(bar)
            if error := future.exception():
                console.print(f"[red]failed:[/] {futures[future]}: {error!r}", highlight=False)
            else:
                yield futures[future], future.result()


def _quiet() -> None:
    """A worker has no bar of its own, and its threads do not spin."""
    os.environ["TTY_COMPATIBLE"] = "0"
    os.environ["OMP_WAIT_POLICY"] = "passive"
