"""The results as Markdown."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.accuracy.models import (
    ABLATIONS,
    MEMORIES,
    MEMORY,
    OURS,
    RANDOM_BUCKETS,
    RIVALS,
    SHIPPED,
    TRANSITIONS,
)
from benchmarks.accuracy.published import PUBLISHED
from benchmarks.accuracy.results import HEADLINE, Change, Results
from benchmarks.accuracy.statistics import CUTOFFS, Interval, Values, verdict
from benchmarks.accuracy.trials import Choice

_CHANGE = ("verdict", "each seed", "on validation")  # after the change itself


def best_rival(results: Results) -> str | None:
    """Whatever has the best headline metric of all that is not ours."""
    found = [name for name in RIVALS if name in results.models]
    return max(found, key=lambda name: _mean(results, name, HEADLINE), default=None)


def shipped(results: Results) -> str | None:
    """What a run makes by default, as near as it was measured on as many seeds as any of these."""
    found = [name for name in SHIPPED if name in results.models]
    return max(found, key=lambda name: results.models[name].seeds, default=None)


def main_table(results: Results) -> str:
    """Every model but the ablations, with intervals, and how it stands against ours."""
    header = ["model", "NDCG@10", "Recall@10", "coverage@10", "popularity@10"]
    header += [f"{OURS} against it", "verdict", "seeds", "CPU min"]
    rows = []
    for name, measured in results.models.items():
        if name in ABLATIONS and name not in (*SHIPPED, *RIVALS):
            continue
        cells = [_bold(name, name == shipped(results))]
        cells += [str(results.bootstrap.mean(measured.values[m])) for m in (HEADLINE, "recall@10")]
        cells += [f"{measured.shown[m].mean:.3f}" for m in ("coverage@10", "popularity@10")]
        cells += _against(results, OURS, name)
        cells += [str(measured.seeds), f"{measured.minutes:.1f}"]
        rows.append(cells)
    for published in PUBLISHED.get(results.dataset, ()):
        cells = [f"*{published.model}, published: {published.source}*"]
        cells += [f"*{published.ndcg:.4f}*", f"*{published.recall:.4f}*", *[""] * 6]
        rows.append(cells)
    return markdown(header, rows)


def cutoffs_table(results: Results) -> str:
    """Recall and NDCG at every cutoff."""
    metrics = [f"{kind}@{k}" for kind in ("recall", "ndcg") for k in CUTOFFS]
    rows = [
        [name, *(f"{_mean(results, name, metric):.4f}" for metric in metrics)]
        for name in results.models
        if name not in ABLATIONS
    ]
    return markdown(["model", *metrics], rows)


def slices_table(results: Results) -> str:
    """The headline metric by kind of item and of history."""
    named = {name: chosen for name, chosen in results.slices.items() if chosen.any()}
    header = ["model", *(f"{name} ({int(chosen.sum()):,})" for name, chosen in named.items())]
    rows = []
    for name, measured in results.models.items():
        if name not in ABLATIONS:
            values_U = measured.values[HEADLINE]
            rows.append([name, *(f"{values_U[chosen].mean():.4f}" for chosen in named.values())])
    return markdown(header, rows)


def ablation_table(results: Results) -> str:
    """Ours without, or with another form of, each of its parts."""
    changes = results.ablations
    if not changes:
        return ""
    rows = [[_bold(OURS, True), *_headline_and_borrowed(results, OURS), *[""] * 4]]
    for name, change in changes.items():
        rows.append([name, *_headline_and_borrowed(results, name), *_cells(change)])
    return markdown(["model", "NDCG@10", "shares borrowed", f"against {OURS}", *_CHANGE], rows)


def control_table(results: Results) -> str:
    """Buckets of similarity against random ones, their control."""
    rows = [[name, *_cells(change)] for name, change in results.controlled().items()]
    return markdown(["model", f"against {RANDOM_BUCKETS}", *_CHANGE], rows) if rows else ""


def _cells(change: Change) -> list[str]:
    each = ", ".join(f"{one:+.1%}" for one in change.each_S)
    validation = "" if math.isnan(change.validation) else f"{change.validation:+.1%}"
    return [*_percent(change.test), each, validation]


def _headline_and_borrowed(results: Results, name: str) -> list[str]:
    measured = results.models[name]
    interval = results.bootstrap.mean(measured.values[HEADLINE])
    return [str(interval), ", ".join(f"{share:g}" for share in measured.borrowed)]


def ablation_slices_table(results: Results) -> str:
    """Where the parts matter: changes by kind of item and of history."""
    changes = results.ablations
    named = [name for name, chosen in results.slices.items() if chosen.any()]
    rows = [
        [model, *(_percent(change.slices[name])[0] for name in named)]
        for model, change in changes.items()
    ]
    return markdown(["model", *named], rows) if rows else ""


def overlap_table(results: Results) -> str:
    """What model and memory find alone, apart and together; and what of that their sum finds."""
    rows = []
    for both, alone in MEMORIES.items():
        if both.endswith(TRANSITIONS) or not {both, alone, MEMORY} <= results.models.keys():
            continue
        model_U, memory_U, sum_U = (_found(results, name) for name in (alone, MEMORY, both))
        kinds = model_U * memory_U, model_U * (1 - memory_U), (1 - model_U) * memory_U
        cells = [
            f"{kind_U.mean():.2%}, {(kind_U * sum_U).sum() / kind_U.sum():.0%}" for kind_U in kinds
        ]
        neither_U = (1 - model_U) * (1 - memory_U)
        rows.append([alone, *cells, f"{(neither_U * sum_U).mean():.2%}", f"{sum_U.mean():.2%}"])
    header = ["model", "both", "the model alone", "the memory alone", "the sum alone", "the sum"]
    return markdown(header, rows) if rows else ""


def _found(results: Results, name: str) -> Values:
    """(U,): whether the held-out item is among the ten best; of several seeds, in how many."""
    return results.models[name].values["recall@10"]


def health_table(results: Results) -> str:
    """Health of semantic IDs: a row a level, a column a modality, then the other figures."""
    if not (name := results.with_codes()):
        return ""
    health = results.models[name].health
    levels = dict.fromkeys(name.split("/")[-2] for name in health if "level_" in name)
    prefixes = dict.fromkeys(name.split("level_")[0] for name in health if "level_" in name)
    header = ["used, perplexity", *(prefix.rstrip("/") or "all" for prefix in prefixes)]
    rows = []
    for level in levels:
        pairs = ((health[f"{p}{level}/used"], health[f"{p}{level}/perplexity"]) for p in prefixes)
        cells = (f"{used:.1%}, {perplexity:.0f}" for used, perplexity in pairs)
        rows.append([level.replace("_", " "), *cells])
    others = [[n.replace("_", " "), f"{v:.4f}"] for n, v in health.items() if "level_" not in n]
    return markdown(header, rows) + "\n" + markdown(["figure", "value"], others)


def borrowing_table(results: Results) -> str:
    """Validation by the share that rare and new items of ours borrow."""
    found = results.models[OURS].borrowing if OURS in results.models else {}
    header = ["share", *found]
    row = ["validation NDCG@10", *(f"{value:.4f}" for value in found.values())]
    return markdown(header, [row]) if found else ""


def trials_table(trials: Iterable[Mapping[str, Any]]) -> str:
    """How much was spent on choosing each model's settings, on validation."""
    spent: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for trial in trials:
        spent.setdefault((trial["dataset"], trial["model"]), []).append(trial)
    rows = [
        [
            *key,
            str(len(made)),
            f"{sum(trial['minutes'] for trial in made):.0f}",
            f"{max(trial['validation_ndcg@10'] for trial in made):.4f}",
        ]
        for key, made in spent.items()
    ]
    return markdown(["data set", "model", "trials", "CPU min", "best validation NDCG@10"], rows)


def summary_table(found: Iterable[Results]) -> str:
    """What a run makes against the best of all others, a row a data set and protocol."""
    rows = []
    for results in found:
        best, name = best_rival(results), shipped(results)
        if best and name:
            ours, theirs = (f"{_mean(results, each, HEADLINE):.4f}" for each in (name, best))
            gain = _against(results, name, best)
            seeds = ", ".join(str(results.models[each].seeds) for each in (name, best))
            of = [results.dataset, results.protocol, name, ours]
            rows.append([*of, best, theirs, *gain, seeds])
    header = ["data set", "protocol", "what a run makes", "NDCG@10", "best of all others"]
    return markdown([*header, "its NDCG@10", "gain", "verdict", "seeds of each"], rows)


def settings_table(choices: dict[str, Choice]) -> str:
    """Which settings each model runs with, and where they were searched."""
    rows = [
        [name, _settings(choice), choice.searched_on or "-"] for name, choice in choices.items()
    ]
    return markdown(["model", "settings", "searched on"], rows)


def _settings(choice: Choice) -> str:
    return ", ".join(f"{k} = {v}" for k, v in choice.settings.items()) or "as configured"


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _against(results: Results, name: str, other: str) -> list[str]:
    """Gain of one model over another, in percent with its interval, and the verdict."""
    there = name != other and {name, other} <= results.models.keys()
    return _percent(results.gain(name, other)) if there else ["", ""]


def _percent(gain: Interval) -> list[str]:
    if math.isnan(gain.mean):
        return ["", ""]
    return [f"{gain.mean:+.1%} [{gain.low:+.1%}, {gain.high:+.1%}]", verdict(gain)]


def _mean(results: Results, name: str, metric: str) -> float:
    return float(results.models[name].values[metric].mean())


def _bold(text: str, yes: bool) -> str:
    return f"**{text}**" if yes else text
