"""``python -m benchmarks.accuracy.report``: tables, JSON and plots of all that is finished."""

import json
from pathlib import Path

import typer

from benchmarks.accuracy import jobs, plots, recipes, results, tables, work
from benchmarks.accuracy.jobs import Workshop
from benchmarks.accuracy.models import BACKBONES, OURS
from benchmarks.accuracy.results import PROTOCOLS, Recipe, Results
from benchmarks.accuracy.store import Job
from benchmarks.accuracy.trials import LADDERS, Trials
from models.contract import bundle

_HEAD = """# Accuracy

Made by `python -m benchmarks.accuracy` (models, tables, plots) and
`python -m benchmarks.accuracy.search` (hyper-parameters, on validation only); not edited by hand.

All models of a table see the same files, rank the full catalogue and never recommend what is
already in the history. *strict*: nothing after the training part is seen; epochs and settings are
chosen on validation. *refit*: the same settings and number of epochs, trained again on training
and validation part, as one does before going live; the test item is never seen. Means over seeds;
95% intervals by a bootstrap over users, paired where two models are compared. coverage@10: share of
the catalogue that anybody is shown; popularity@10: how popular what is shown is, as a percentile.
CPU min: minutes a seed on one core, quantizer included; of a training that was cut short, those
since it went on. Published figures are in italics: their protocol is rarely stated.
"""


def write(workshop: Workshop = work.WORKSHOP, to: Path = work.DOCS) -> None:
    """Write ``accuracy.md``, ``accuracy.json`` and the plots of what is there so far."""
    to.mkdir(parents=True, exist_ok=True)
    trials = Trials(work.TRIALS)
    configs = {dataset: work.configuration(dataset) for dataset in workshop.store.datasets()}

    def recipe(job: Job) -> str:
        """What the table shows is of the settings that are chosen now."""
        settings = trials.choose(job.dataset, job.model).settings
        return recipes.recipe(job, configs[job.dataset], settings)

    every = (
        results.read(dataset, config, protocol, workshop.store, recipe)
        for dataset, config in configs.items()
        for protocol in PROTOCOLS
    )
    found = [result for result in every if result]
    if not found:
        work.console.print("nothing is finished yet, so there is nothing to report")
        return
    rows = [row for result in found for row in result.rows()]
    lines = ",\n".join(json.dumps(row) for row in rows)
    (to / "accuracy.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    sections = (_section(result) for result in found)
    text = [_HEAD, tables.summary_table(found), *sections, _search(trials, found)]
    pictures = _draw(found, recipe, workshop, to)
    text += ["## Plots\n", earlier_curves(found), *(f"![{name}]({name})\n" for name in pictures)]
    (to / "accuracy.md").write_text("\n".join(text), encoding="utf-8")
    work.console.print(f"wrote {to}/accuracy.md, accuracy.json and {len(pictures)} plots")


def earlier_curves(found: list[Results]) -> str:
    """What to know of curves that were drawn before they were kept with the results."""
    strict = (result for result in found if result.protocol == "strict")
    names = [r.dataset for r in strict if OURS in r.models and not r.models[OURS].curves]
    if not names:
        return ""
    return (
        f"Curves of {', '.join(names)} are as they were drawn before results kept them, until "
        f"{OURS} is trained there again: backbones may be of earlier settings.\n"
    )


def _section(result: Results) -> str:
    parts = [
        f"## {result.dataset}, {result.split.replace('_', '-')}, {result.protocol}",
        f"{result.users:,} users.",
        tables.main_table(result),
        "At all cutoffs:",
        tables.cutoffs_table(result),
        "NDCG@10 by how often the held-out item was trained on (cold: never; tail: at most "
        f"{results.TAIL} times) and by length of history (short: at most {results.SHORT}; long: "
        f"over {results.LONG}), with the number of users:",
        tables.slices_table(result),
    ]
    if ablation := tables.ablation_table(result):
        parts += [
            f"Parts of the method, each taken away from {OURS} or exchanged, on the same seeds. "
            "Intervals are over users and know nothing of seeds, which differ too: a verdict that "
            "not every seed shares is a hint. Validation chooses what is borrowed, seed by seed; "
            "where that differs, part of a change in rare items is its doing.",
            ablation,
            tables.control_table(result),
            f"The same against {OURS}, by kind of item and of history:",
            tables.ablation_slices_table(result),
        ]
    if overlap := tables.overlap_table(result):
        parts += [
            "What a model and the memory find among their ten best, in common and apart; after the "
            "comma, how much of that their sum finds, too. Of several seeds the mean, so that what "
            "differs from seed to seed looks like a difference:",
            overlap,
        ]
    if health := tables.health_table(result):
        parts += [f"Health of the semantic IDs of {result.with_codes()}, means over seeds:", health]
    if borrowing := tables.borrowing_table(result):
        parts += [
            f"What rare and new items of {OURS} borrow; every seed takes its best:",
            borrowing,
        ]
    return "\n\n".join(filter(None, parts))


def _search(trials: Trials, found: list[Results]) -> str:
    datasets = dict.fromkeys(result.dataset for result in found)
    learned = (OURS, *BACKBONES)
    parts = [
        "## Settings",
        "The search changes one setting of a model's best at a time, the same settings for every "
        f"learned model: {', '.join(name.removeprefix('fit.') for name in LADDERS)}. The trials of "
        "development count too, in which towers, losses and averaging were chosen. They are in "
        "`accuracy-trials.jsonl`, judged by validation alone, on seed 1000, which no table uses; "
        "MovieLens-1M's earlier ones on seed 1, some over six epochs, most over twelve. Some later "
        "ones of bbqrec there sum towers that were trained apart: no loss joins them.",
        tables.trials_table(trials.all()),
        "A data set without trials of its own takes the settings of Beauty; ablations take those "
        "of the whole. RecTools' models are not searched: they and our backbones "
        "(`sasrec-ss-as-rectools`) run as configured, but with one block, 256 negatives and "
        "histories of 20 items, with which RecTools' training ends within an hour or two.",
    ]
    for dataset in datasets:
        choices = {model: trials.choose(dataset, model) for model in learned}
        parts += [f"{dataset}:", tables.settings_table(choices)]
    return "\n\n".join(parts)


def _draw(found: list[Results], recipe: Recipe, workshop: Workshop, to: Path) -> list[str]:
    plots.accuracy(found, to / "accuracy.png")
    for result in found:
        job = Job(result.dataset, result.with_codes() or OURS, 1, "strict")
        if result.protocol == "strict":
            plots.ablations(result, to / f"ablations-{job.dataset}.png")
            plots.curves(result, to / f"curves-{job.dataset}.png")
            draw_model(job, recipe, workshop, to)
    return sorted(path.name for kind in plots.KINDS for path in to.glob(f"{kind}*.png"))


def draw_model(job: Job, recipe: Recipe, workshop: Workshop, to: Path) -> list[Path]:
    """Draw one model's codes and biases.

    How its codes are used is kept with its results; its weights and codes lie only where it was
    trained, and elsewhere what was drawn of them stays.
    """
    biases, usage, items = drawn = [to / f"{kind}-{job.dataset}.png" for kind in plots.OF_CODES]
    done, directory = workshop.store.read(job), jobs.left_by(job, recipe(job), workshop)
    made = done is not None and done.facts["recipe"] == recipe(job)
    health = done.facts["health"] if done and made else None
    if health:
        plots.code_usage(health, usage)
    elif made:  # it looks at no codes
        usage.unlink(missing_ok=True)
    if done and directory:
        biases.unlink(missing_ok=True)
        items.unlink(missing_ok=True)
        if health:
            codes = workshop.scratch / done.facts["codes"]
            plots.bucket_bias(directory / bundle.FILES.WEIGHTS, codes, biases)
            plots.item_map(codes, items)
    return [path for path in drawn if path.exists()]


if __name__ == "__main__":
    typer.run(write)
