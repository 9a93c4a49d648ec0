"""``python -m benchmarks.serving``: measure the engine; Markdown, JSON and plots."""

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.serving import encoder, end_to_end, remembering, report, retrieval, selected, start
from benchmarks.serving.rows import Row, replace
from benchmarks.serving.servers import COMMANDS

PARTS = (encoder.WHAT, retrieval.WHAT, selected.WHAT, end_to_end.WHAT, remembering.WHAT, start.WHAT)
console = Console()


def main(
    only: Annotated[str, typer.Option(help="Comma-separated parts.")] = ",".join(PARTS),
    sizes: Annotated[str, typer.Option(help="Catalogue sizes of retrieval.")] = ",".join(
        map(str, retrieval.SIZES)
    ),
    compiled: Annotated[bool, typer.Option(help="Time torch.compile too: minutes more.")] = True,
    quick: Annotated[bool, typer.Option(help="Small and once: to see that it works.")] = False,
) -> None:
    """Measure on a machine that does nothing else; replaces the same sizes of before."""
    counts = tuple(int(size) for size in sizes.split(","))
    for what in only.split(","):
        found = []
        for row in _rows(what.strip(), counts, compiled=compiled, quick=quick):
            found.append(row)
            ratio = "" if row.ratio is None else f"  {row.ratio:.3f} x {row.against}"
            label = f"{row.what}: {row.size}, {row.variant}: {row.value:,.3f} {row.unit}{ratio}"
            console.print(label, highlight=False)
        replace(what.strip(), found)
    report.write()


def _rows(what: str, sizes: tuple[int, ...], *, compiled: bool, quick: bool) -> Iterator[Row]:
    if what == encoder.WHAT:
        cases = encoder.SIZES[:2] if quick else encoder.SIZES
        return encoder.rows(cases, 1 if quick else 5, compiled=compiled)
    if what == retrieval.WHAT:
        return retrieval.rows(sizes[:1] if quick else sizes, 1 if quick else 5)
    if what == selected.WHAT:
        return selected.rows(selected.SIZES[:1] if quick else selected.SIZES, 1 if quick else 9)
    plan = end_to_end.Plan(1.0, 1, 300.0) if quick else end_to_end.Plan()
    if what == end_to_end.WHAT:
        return end_to_end.rows(plan, tuple(COMMANDS))
    if what == remembering.WHAT:
        return remembering.rows(plan)
    if what == start.WHAT:
        return start.rows((10_000,) if quick else tuple(n for n in sizes if n in start.SIZES))
    raise typer.BadParameter(f"there is no part {what!r}; there are {', '.join(PARTS)}")


if __name__ == "__main__":
    typer.run(main)
