"""``python -m benchmarks.reliability``: do every fault to the service, and say what was kept."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.reliability import (
    catalogue,
    events,
    filters,
    neighbours,
    overload,
    sigterm,
    starts,
    swaps,
)
from benchmarks.reliability.rows import Row

RESULTS = Path("docs/benchmarks/reliability.json")
REPORT = RESULTS.with_suffix(".md")
console = Console()


@dataclass(frozen=True)
class Part:
    """One file of faults: thorough, and to see that it works."""

    thorough: Callable[[], Iterator[Row]]
    quick: Callable[[], Iterator[Row]]


PARTS = {
    "swaps": Part(
        lambda: swaps.rows(swaps.Plan()),
        lambda: swaps.rows(swaps.Plan(swaps=20, calm=3.0, kills=1)),
    ),
    "overload": Part(
        lambda: overload.rows(overload.Plan(), "--provider", "cpu"),
        lambda: overload.rows(overload.Plan(5.0, 2.0, 1.0), "--provider", "cpu"),
    ),
    "overload-shared": Part(
        lambda: overload.rows(overload.Plan(), "--provider", "cpu", engine="shared"),
        lambda: overload.rows(overload.Plan(5.0, 2.0, 1.0), "--provider", "cpu", engine="shared"),
    ),
    "overload-torch": Part(
        lambda: overload.rows(overload.Plan(), "--provider", "torch"),
        lambda: overload.rows(overload.Plan(5.0, 2.0, 1.0), "--provider", "torch"),
    ),
    "neighbours": Part(
        lambda: neighbours.rows(neighbours.Plan()),
        lambda: neighbours.rows(neighbours.Plan(seconds=5.0, calm=2.0, shapes=50)),
    ),
    "catalogue": Part(
        lambda: catalogue.rows(catalogue.Plan()),
        lambda: catalogue.rows(catalogue.Plan(puts=20, kills=5, seconds=2.0, items=2000)),
    ),
    "events": Part(
        lambda: events.rows(events.Plan()),
        lambda: events.rows(events.Plan(events=6000, kills=3, seen=20, seconds=3.0)),
    ),
    "starts": Part(
        lambda: starts.rows(starts.Plan()),
        lambda: starts.rows(starts.Plan(events=150, keep=200, asked=50)),
    ),
    "filters": Part(lambda: filters.rows(10_000), lambda: filters.rows(500)),
    "sigterm": Part(lambda: sigterm.rows(20, "--workers", "2"), lambda: sigterm.rows(2)),
}


def main(
    only: Annotated[str, typer.Option(help="Comma-separated parts.")] = ",".join(PARTS),
    quick: Annotated[bool, typer.Option(help="Short: to see that it works.")] = False,
) -> None:
    """On a machine that does nothing else; rows replace earlier ones of the same faults."""
    for name in only.split(","):
        part = PARTS[name.strip()]
        for row in (part.quick if quick else part.thorough)():
            style = "green" if row.kept == row.tried else "red"
            text = f"{row.fault}: {row.promise}: {row.kept:,} of {row.tried:,}; {row.measured}"
            console.print(text, style=style, highlight=False)
            if not quick:
                _keep(row)


def _keep(row: Row) -> None:
    found = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
    rows = [Row(**kept) for kept in found]
    rows = [kept for kept in rows if kept[:3:2] != row[:3:2]] + [row]
    lines = ",\n".join(json.dumps(each._asdict()) for each in rows)
    RESULTS.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    REPORT.write_text(report(rows), encoding="utf-8")


def report(rows: list[Row]) -> str:
    """The table, in Markdown."""
    lines = [
        f"| {row.fault} | {row.promise} | {row.tried:,} | {row.kept:,} | {row.measured} |"
        for row in rows
    ]
    broken = sum(row.kept < row.tried for row in rows)
    return (
        "# Reliability\n\n`python -m benchmarks.reliability` (`make chaos`) does each fault to the "
        "real program and counts how often its promise was kept. The load generator shares the "
        "machine.\n\n"
        f"{len(rows)} promises, {broken} of them not kept every time.\n\n"
        "| fault | promise | tried | kept | measured |\n|---|---|---|---|---|\n"
        + "\n".join(lines)
        + "\n"
    )


if __name__ == "__main__":
    typer.run(main)
