"""``python -m benchmarks.accuracy.cold``: items that training never saw, ranked among all.

A share of the items is taken out of all histories, or a cut through time leaves them as they came
(training/data/new_items.py). Every model ranks the same events; only ranks are kept.
"""

from functools import partial
from typing import Annotated

import typer

from benchmarks.accuracy import work
from benchmarks.accuracy.cold import jobs, models, report
from benchmarks.accuracy.store import Job
from benchmarks.accuracy.trials import Trials

USUAL = 0.1


def main(
    datasets: Annotated[
        str, typer.Option("--dataset", help="Names of files in configs/, comma-separated.")
    ] = "beauty,sports,toys,ml1m,online-retail",
    names: Annotated[str, typer.Option("--models", help="Comma-separated.")] = ",".join(
        [*models.COUNTED, *models.TIMED, *models.LEARNED]
    ),
    seeds: Annotated[int, typer.Option(min=1, help="Of every learned model.")] = 3,
    first: Annotated[int, typer.Option(min=1, help="The first of these seeds.")] = 1,
    share: Annotated[
        float, typer.Option(help="Of the items, new in test; a cut through time needs none.")
    ] = USUAL,
    workers: Annotated[int, typer.Option(min=1, help="Processes of one thread each.")] = 2,
) -> None:
    """Train and judge what has not been done, then write tables and plots."""
    trials, tasks = Trials(work.TRIALS), []
    configs = {name: work.configuration(name) for name in datasets.split(",")}
    for dataset, config in configs.items():
        jobs.keep_events(named(dataset, share), config, share)
    for seed in range(first, first + seeds):
        for dataset, config in configs.items():
            for model in names.split(","):
                counted = model not in models.LEARNED
                if (counted and seed > 1) or (
                    model in models.TIMED and config.split.kind != "temporal"
                ):
                    continue
                tuned = trials.choose(dataset, models.tuned_as(model)).settings
                trial = jobs.Trial(Job(named(dataset, share), model, seed, "strict"), share)
                task = partial(jobs.run, trial, config, tuned)
                tasks.append((f"{dataset} {model} {seed}", task))
    for name, facts in work.run_all(tasks, workers, "models"):
        work.console.print(f"{name}: {facts}", highlight=False)
    report.write()


def named(dataset: str, share: float) -> str:
    """The data set in tables: after the share, too, where that is not the usual one."""
    return dataset if share == USUAL else f"{dataset}-{share:g}"


if __name__ == "__main__":
    typer.run(main)
