"""``python -m benchmarks.accuracy.search``: equal hyper-parameter budgets, validation only."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.accuracy import jobs, models, recipes, work
from benchmarks.accuracy.models import BACKBONES, OURS, Settings
from benchmarks.accuracy.store import Job
from benchmarks.accuracy.trials import Trials
from training.config import RunConfig

SEED = 1000  # none of the table's


def main(
    dataset: Annotated[str, typer.Option(help="Name of a file in configs/.")] = "beauty",
    names: Annotated[str, typer.Option("--models", help="Comma-separated.")] = ",".join(
        [OURS, *BACKBONES]
    ),
    budget: Annotated[int, typer.Option(min=1, help="Trials of each model.")] = 20,
    workers: int = 2,
) -> None:
    """Change one setting of each model's best at a time, until every model had its trials."""
    config, trials = work.configuration(dataset), Trials(work.TRIALS)
    while tasks := _round(dataset, models.named(names), config, trials, budget):
        made = len(trials.all())
        for name, found in work.run_all(tasks, workers, f"trials on {dataset}"):
            trials.add(found)
            work.console.print(f"{name}: {found['validation_ndcg@10']:.4f}", highlight=False)
        if len(trials.all()) == made:
            raise typer.Exit(1)  # all of them failed, and would again


def _round(
    dataset: str, names: Iterable[str], config: RunConfig, trials: Trials, budget: int
) -> list[tuple[str, Callable[[], dict[str, Any]]]]:
    """The next trial of each model that has any left."""
    tasks: list[tuple[str, Callable[[], dict[str, Any]]]] = []
    for model in names:
        configure = partial(recipes.configured, _job(dataset, model), config)
        settings = trials.next(dataset, model, configure)
        if settings is not None and trials.count(dataset, model) < budget:
            task = partial(trial, dataset, model, settings, config)
            tasks.append((f"{model} {dict(settings)}", task))
    return tasks


def trial(dataset: str, model: str, settings: Settings, config: RunConfig) -> dict[str, Any]:
    """One strict training, judged by validation alone: the test part is not looked at."""
    started = time.process_time()
    directory = Path(tempfile.mkdtemp(prefix="trial-"))
    facts = jobs.train(_job(dataset, model), config, settings, work.WORKSHOP, directory)
    shutil.rmtree(directory)
    minutes = facts["minutes"] + (time.process_time() - started) / 60
    return {
        "dataset": dataset,
        "model": model,
        "settings": dict(settings),
        "seed": SEED,
        "validation_ndcg@10": facts["validation_ndcg@10"],
        "epochs": facts["epochs"],
        "minutes": round(minutes, 2),
    }


def _job(dataset: str, model: str) -> Job:
    return Job(dataset, model, SEED, "strict")


if __name__ == "__main__":
    typer.run(main)
