"""``python -m benchmarks.accuracy``: every model on the same files and candidates, in one table."""

from functools import partial
from typing import Annotated

import typer

from benchmarks.accuracy import jobs, models, report, work
from benchmarks.accuracy.models import COUNTED, HEADLINE
from benchmarks.accuracy.store import Job
from benchmarks.accuracy.trials import Trials

DATASETS = "beauty,sports,toys,ml1m"


def main(
    datasets: Annotated[
        str, typer.Option("--dataset", help="Names of files in configs/, comma-separated.")
    ] = DATASETS,
    names: Annotated[
        str, typer.Option("--models", help="Models, or ours, backbones, ablations, peers.")
    ] = ",".join(HEADLINE),
    seeds: Annotated[int, typer.Option(min=1, help="Of every learned model.")] = 3,
    protocol: Annotated[
        str, typer.Option(help="both, or strict alone: half the time, enough for ablations.")
    ] = "both",
    workers: Annotated[int, typer.Option(min=1, help="Processes of one thread each.")] = 2,
    accelerator: Annotated[str, typer.Option(help="cpu, gpu or auto; results are files.")] = "cpu",
) -> None:
    """Train and test what has not been done, strict and refit, then write tables and plots."""
    if protocol not in ("both", "strict"):
        raise typer.BadParameter(f"--protocol is both or strict, not {protocol}")
    run = jobs.run_both if protocol == "both" else jobs.run
    trials, tasks = Trials(work.TRIALS), []
    configs = {name: work.configuration(name, accelerator) for name in datasets.split(",")}
    for seed in range(1, seeds + 1):
        for dataset, config in configs.items():
            for model in models.named(names):
                if model in COUNTED and seed > 1:
                    continue
                settings = trials.choose(dataset, model).settings
                if models.changes_nothing(model, config, settings):
                    continue
                job = Job(dataset, model, seed, "strict")
                task = partial(run, job, config, settings, work.WORKSHOP)
                tasks.append((f"{dataset} {model} {seed}", task))
    for name, facts in work.run_all(tasks, workers, "models"):
        work.console.print(f"{name}: {facts['minutes']:.1f} CPU minutes", highlight=False)
    report.write()


if __name__ == "__main__":
    typer.run(main)
