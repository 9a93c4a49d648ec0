"""``python -m benchmarks.accuracy.search``: equal hyper-parameter budgets, validation only."""

import shutil
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.accuracy import jobs, models, work
from benchmarks.accuracy.models import BACKBONES, OURS, Settings
from benchmarks.accuracy.store import Job
from benchmarks.accuracy.trials import SPACE, Trials
from training.config import RunConfig

SEED = 1000  # none of the table's


def main(
    dataset: Annotated[str, typer.Option(help="Name of a file in configs/.")] = "beauty",
    names: Annotated[str, typer.Option("--models", help="Comma-separated.")] = ",".join(
        [OURS, *BACKBONES]
    ),
    workers: int = 2,
) -> None:
    """Try every setting of the search space that has not been tried."""
    config, trials = work.configuration(dataset), Trials(work.TRIALS)
    tasks = [
        (f"{model} {dict(settings)}", partial(trial, dataset, model, settings, config))
        for settings in SPACE
        for model in models.named(names)
        if not trials.has(dataset, model, settings)
    ]
    for name, found in work.run_all(tasks, workers, f"trials on {dataset}"):
        trials.add(found)
        work.console.print(f"{name}: {found['validation_ndcg@10']:.4f}", highlight=False)


def trial(dataset: str, model: str, settings: Settings, config: RunConfig) -> dict[str, Any]:
    """One strict training, judged by validation alone: the test part is not looked at."""
    started = time.process_time()
    directory = Path(tempfile.mkdtemp(prefix="trial-"))
    job = Job(dataset, model, SEED, "strict")
    facts = jobs.train(job, config, settings, work.WORKSHOP, directory)
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


if __name__ == "__main__":
    typer.run(main)
