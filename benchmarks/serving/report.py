"""Markdown and plots from the rows of ``serving.json``."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.serving import encoder, end_to_end, plots, remembering, retrieval, selected, start
from benchmarks.serving.goals import judged
from benchmarks.serving.rows import RESULTS, Row, read

_HEAD = """# The engine, measured

Made by `python -m benchmarks.serving` on one machine, each size in one run; not edited by hand.
Times of encoder and retrieval are CPU milliseconds on one thread, medians over repetitions that
take turns. What was tried on the way is in [serving-log.md](serving-log.md).
"""
_NOTES = {
    encoder.WHAT: "Milliseconds a history; random weights. The floor counts multiply-adds (causal, "
    "the last block's last row only) and bytes, at the rates that this core was measured to have.",
    retrieval.WHAT: "Items are drawn around the demo's learned ones (`catalogue.py`), users are "
    "its users: milliseconds a query for the best 100. The floor is to read all vectors once.",
    selected.WHAT: "Items and users as above. A filter lets a random share of the items through, "
    "another of each query's own; gone rows are random ones, live rows drawn like the others. "
    "Milliseconds a query for the best 100 beside those of a plain search.",
    end_to_end.WHAT: "12,000 items, default model, real history lengths, load generator on the "
    "same two cores, open loop: latency counts from when a request was due.",
    remembering.WHAT: "As end to end, on a slower machine than the parts above; both services are "
    "there and take turns: compare ratios. The memory's lists are 200 random items each, as hard "
    "to gather and to merge as can be: shops' own lists repeat each other.",
    start.WHAT: "Drawn catalogues, files in the page cache; private memory is what a worker shares "
    "with nobody.",
}


def write(path: Path = RESULTS) -> None:
    """``serving.md`` and ``serving-*.png`` beside the rows."""
    rows = read(path)
    parts = [_HEAD, _goals(rows)]
    for what, note in _NOTES.items():
        found = [row for row in rows if row.what == what]
        if found:
            parts.append(f"## {what.capitalize()}\n\n{note}\n")
            if what in plots.DRAWN:
                picture = f"serving-{what.replace(' ', '-')}.png"
                plots.DRAWN[what](found, path.with_name(picture))
                parts.append(f"![{what}]({picture})\n")
            parts += _tables(found)
    path.with_name("serving.md").write_text("\n".join(parts), encoding="utf-8")


def _goals(rows: Sequence[Row]) -> str:
    verdicts = {True: "met", False: "**missed**", None: "not run"}
    lines = [
        f"| {goal.text} | {'' if goal.measured is None else f'{goal.measured:,.3g}'} "
        f"| {verdicts[goal.met]} |"
        for goal in judged(rows)
    ]
    return "\n".join(["## Goals\n", "| goal | measured |  |", "| --- | --- | --- |", *lines, ""])


def _tables(rows: Sequence[Row]) -> Iterator[str]:
    """A table a unit: a line a size, a column a variant; ratios behind the values."""
    for unit in dict.fromkeys(row.unit for row in rows):
        of_unit = [row for row in rows if row.unit == unit]
        variants = list(dict.fromkeys(row.variant for row in of_unit))
        lines = [f"| {unit} | {' | '.join(variants)} |", "| --- " * (len(variants) + 1) + "|"]
        for size in dict.fromkeys(row.size for row in of_unit):
            cells = {row.variant: _cell(row) for row in of_unit if row.size == size}
            lines.append(f"| {size} | {' | '.join(cells.get(v, '') for v in variants)} |")
        yield "\n".join([*lines, ""])


def _cell(row: Row) -> str:
    value = f"{row.value:,.3g}" if row.value < 1000 else f"{row.value:,.0f}"
    return value if row.ratio is None else f"{value} ({row.ratio:.2g}x)"
