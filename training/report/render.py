"""The page: facts, what is said of them, and charts, put into the template."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from training.config import RunConfig
from training.evaluate.intervals import Estimate
from training.report import charts, sentences, words
from training.report.charts import Row
from training.report.collect import collect
from training.report.facts import Facts
from training.report.warnings import warnings

_HERE = Path(__file__).parent
_TEMPLATE, _STYLE = "report.html.j2", "report.css"
_CURVES = {
    "train/loss": "Loss in training",
    "validation/ndcg@10": "NDCG@10 on validation",
    "quantize/reconstruction": "What codes leave unexplained",
    "quantize/codes_used": "Share of codes in use",
}
_SLICES = {
    "history": ("By length of the history", "items"),
    "popularity": ("By how often the item that came was used in training", "times"),
}
Charts = dict[str, str]  # SVG by caption


def write(config: RunConfig, bundle: Path, created_at: str, path: Path) -> None:
    """The report of a run and its bundle, whose tables are written, to ``path``.

    Raises UserError where something that it tells is missing.
    """
    facts = collect(config, bundle, created_at)
    path.write_text(render(facts), encoding="utf-8")


def render(facts: Facts) -> str:
    """The same facts make the same bytes."""
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,  # titles are what somebody wrote
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template(_TEMPLATE)
    return template.render(
        facts=facts,
        words=words,
        say=sentences,
        style=(_HERE / _STYLE).read_text(encoding="utf-8"),
        warnings=warnings(facts),
        data=_data(facts),
        curves=_learning(facts),
        models=_models(facts),
        slices=_slices(facts),
        attention=_attention(facts),
        scatter=charts.scatter(sentences.layout(facts), facts.map),
    )


def _data(facts: Facts) -> Charts:
    lengths, time = facts.lengths, facts.over_time
    caption = "Users by how many interactions they have"
    ends = f"{lengths.least:,}", f"{lengths.histogram.edges[-1]:,.0f}"
    found = {caption: charts.histogram(caption, lengths.histogram, *ends, "interactions")}
    if time:
        caption = "Interactions over time"
        ends = words.day(time.edges[0]), words.day(time.edges[-1])
        found[caption] = charts.histogram(caption, time, *ends, "")
    return found


def _learning(facts: Facts) -> Charts:
    chosen = {"fit": facts.fitted.epochs}
    return {
        (caption := _CURVES[curve.name]): charts.curve(caption, curve.points, chosen.get(stage))
        for stage, curves in facts.curves.items()
        for curve in curves
    }


def _models(facts: Facts) -> str:
    found = facts.evaluation
    rows = []
    for name, figures in found.models.items():
        estimate = Estimate(figures[words.NDCG], *found.intervals[name][words.NDCG])
        ours = name == words.OURS
        rows.append(Row(name, estimate if ours else None, None if ours else estimate))
    return charts.rows(sentences.verdict(facts), rows)


def _slices(facts: Facts) -> Charts:
    found, best = facts.evaluation, facts.evaluation.best_baseline
    charted = {}
    for by, (caption, unit) in _SLICES.items():
        rows = [
            Row(_between(s.low, s.high, unit), s.models[words.OURS], s.models[best])
            for s in found.slices
            if s.by == by
        ]
        if rows:
            charted[caption] = charts.rows(caption, rows)
    return charted


def _between(low: int, high: int, unit: str) -> str:
    return f"{low:,} {unit}" if low == high else f"{low:,} to {high:,} {unit}"


def _attention(facts: Facts) -> Charts:
    found = {}
    for pair in facts.pairs:
        caption = pair.first if pair.first == pair.second else f"{pair.first} with {pair.second}"
        found[caption] = charts.bias(caption, pair)
    return found
