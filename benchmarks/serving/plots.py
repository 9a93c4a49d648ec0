"""Plots of the serving benchmark."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib

from benchmarks.serving import encoder, end_to_end, retrieval
from benchmarks.serving.rows import Row

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure


def _save(figure: Figure, named: Axes, path: Path) -> None:
    """With the names of one panel's lines beside the panels, where they cover nothing."""
    figure.legend(*named.get_legend_handles_labels(), loc="center left", bbox_to_anchor=(0.91, 0.5))
    figure.savefig(path, dpi=110, bbox_inches="tight")
    plt.close(figure)


def _number(pattern: str, size: str) -> float | None:
    found = re.search(pattern, size)
    return float(found[1].replace(",", "")) if found else None


def _lines(axes: Axes, rows: Sequence[Row], pattern: str) -> None:
    """A line a variant: values against the number that ``pattern`` finds in the size."""
    for variant in dict.fromkeys(row.variant for row in rows):
        points = sorted(
            (x, row.value)
            for row in rows
            if row.variant == variant and (x := _number(pattern, row.size)) is not None
        )
        dashes = "--" if variant.startswith("floor") else "-"
        axes.plot(*zip(*points, strict=True), dashes, marker="o", markersize=4, label=variant)
    axes.grid(alpha=0.3)


def draw_encoder(rows: Sequence[Row], path: Path) -> None:
    """Time a history against its length, a panel a model, for one history and for 32."""
    figure, grid = plt.subplots(1, 2, figsize=(11, 4), sharey=True)
    for axes, model in zip(grid, encoder.MODELS, strict=True):
        alone = [r for r in rows if r.size.startswith(model + ",") and r.size.endswith("B=1")]
        _lines(axes, alone, r"L=(\d+)")
        axes.set(xscale="log", yscale="log", title=f"{model}, one history", xlabel="items in it")
    grid[0].set_ylabel("CPU ms")
    _save(figure, grid[0], path)


def draw_retrieval(rows: Sequence[Row], path: Path) -> None:
    """Time a query against the catalogue's size, alone and in a batch."""
    figure, grid = plt.subplots(1, 2, figsize=(11, 4), sharey=True)
    for axes, batch in zip(grid, (1, 32), strict=True):
        chosen = [
            r
            for r in rows
            if r.unit == "ms" and r.size.endswith(f"B={batch}") and "spread" not in r.size
        ]
        _lines(axes, chosen, r"([\d,]+) items")
        axes.set(xscale="log", yscale="log", title=f"{batch} at a time", xlabel="items")
    grid[0].set_ylabel("CPU ms a query, best 100")
    _save(figure, grid[0], path)


def draw_end_to_end(rows: Sequence[Row], path: Path) -> None:
    """Latency against offered load, up to what each service can take."""
    figure, grid = plt.subplots(1, 2, figsize=(11, 4), sharey=True)
    offered = {(r.variant, r.size): r.value for r in rows if r.unit == "requests/s offered"}
    for axes, level in zip(grid, ("p50", "p99"), strict=True):
        for variant in dict.fromkeys(row.variant for row in rows):
            points = sorted(
                (offered[variant, r.size], r.value)
                for r in rows
                if r.variant == variant and r.unit == f"ms {level}"
            )
            axes.plot(*zip(*points, strict=True), marker="o", markersize=4, label=variant)
        axes.set(xscale="log", yscale="log", title=level, xlabel="requests a second, offered")
        axes.grid(alpha=0.3)
    grid[0].set_ylabel("ms from when a request was due")
    _save(figure, grid[0], path)


DRAWN: dict[str, Callable[[Sequence[Row], Path], None]] = {
    encoder.WHAT: draw_encoder,
    retrieval.WHAT: draw_retrieval,
    end_to_end.WHAT: draw_end_to_end,
}
