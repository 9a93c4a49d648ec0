"""Each dashboard's series, drawn from what Prometheus has of the story."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np

from benchmarks.monitoring.prometheus import Prometheus, Series
from benchmarks.monitoring.story import Told
from scripts.monitoring.panels import Dashboard, Panel

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

_COLUMNS, _MOST = 2, 8  # panels beside each other; names in a legend
_LONGEST = 23  # letters of a name: an alert's
_MIB = 2**20
_UNITS = {
    "bytes": "MiB",
    "percentunit": "share",
    "none": "",
    "short": "",
    "reqps": "a second",
    "ops": "a second",
}


def draw(dashboard: Dashboard, prometheus: Prometheus, told: Sequence[Told], path: Path) -> None:
    """All panels, over the whole story, acts shaded in turn."""
    panels = dashboard.panels()
    rows = math.ceil(len(panels) / _COLUMNS)
    figure, grid = plt.subplots(rows, _COLUMNS, figsize=(10, 2.4 * rows), squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for axes, panel in zip(grid.flat, panels, strict=False):
        _panel(axes, panel, prometheus, told)
    figure.suptitle(f"{dashboard.title}: a story in {len(told)} acts, seconds")
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _panel(axes: Axes, panel: Panel, prometheus: Prometheus, told: Sequence[Told]) -> None:
    start, end = told[0].start, told[-1].end
    size = _MIB if panel.unit == "bytes" else 1
    found = [
        (target.legend, line._replace(values_T=line.values_T / size))
        for target in panel.targets
        for line in prometheus.ask(target.expr, start, end)
    ]
    if panel.kind == "heat":
        _heat(axes, [line for _, line in found], start)
    else:
        _lines(axes, found, start)
        axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    for number, act in enumerate(told):
        if number % 2:
            axes.axvspan(act.start - start, act.end - start, color="grey", alpha=0.12, lw=0)
        axes.text(
            (act.start + act.end) / 2 - start,
            0.01,
            str(number + 1),
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="bottom",
            fontsize=7,
            color="grey",
        )
    axes.set_xlim(0, end - start)
    axes.set_title(panel.title, fontsize=10)
    axes.set_ylabel(_UNITS.get(panel.unit, panel.unit), fontsize=8)
    axes.tick_params(labelsize=8)


def _lines(axes: Axes, found: Sequence[tuple[str, Series]], start: float) -> None:
    for number, (legend, line) in enumerate(found):
        label = _named(legend, line) if number < _MOST else None
        axes.plot(line.times_T - start, line.values_T, lw=1.2, label=label)
    if any(legend for legend, _ in found):
        axes.legend(fontsize=7, loc="upper left", framealpha=0.5)
    axes.grid(alpha=0.3)


def _heat(axes: Axes, lines: Sequence[Series], start: float) -> None:
    """Rates of buckets: what is in one, and not in the one below."""
    lines = sorted(lines, key=lambda line: float(line.labels["le"]))
    times_T = np.unique(np.concatenate([line.times_T for line in lines]))
    sums_BT = np.array([np.interp(times_T, line.times_T, line.values_T, left=0) for line in lines])
    each_BT = np.diff(sums_BT, axis=0, prepend=0).clip(min=0)
    axes.pcolormesh(times_T - start, np.arange(len(lines)), each_BT, cmap="Oranges")
    shown = range(0, len(lines), 3)
    axes.set_yticks([*shown], [lines[n].labels["le"] for n in shown])


def _named(legend: str, line: Series) -> str:
    for name, value in line.labels.items():
        legend = legend.replace(f"{{{{{name}}}}}", value[:_LONGEST])
    return re.sub(r"{{\w+}}", "none", legend)
