"""What new items gain against what known ones lose, as a picture."""

import math
from itertools import zip_longest
from pathlib import Path
from typing import Any

import matplotlib as mpl

from benchmarks.accuracy.cold.results import Cold
from benchmarks.accuracy.models import MEMORIES

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

_LABEL: dict[str, Any] = {"textcoords": "offset points", "fontsize": 8}
_OFFSETS = [  # points, and the side on which the text ends; tried in turn
    (at, side)
    for height in (3, -9, 12, -18)
    for at, side in (((6, height), "left"), ((-6, height), "right"))
]
_BESIDE = 2  # panels in a row: more are too small on a page
_OURS, _BEFORE, _OTHER = "#e07b00", "#2b6cb0", "#9aa5b1"


def trade_off(found: list[Cold], path: Path) -> None:
    """Recall@50 of new items among all over NDCG@10 of known ones, a panel a data set.

    Blue: our weights before calibration, with every share that all items alike may borrow.
    """
    rows = math.ceil(len(found) / _BESIDE)
    figure, axes = plt.subplots(rows, _BESIDE, figsize=(4.7 * _BESIDE, 3.7 * rows), squeeze=False)
    for axis, cold in zip_longest(axes.flat, found):
        if cold is None:
            axis.axis("off")
        else:
            _panel(axis, cold)
    figure.tight_layout()
    for axis, cold in zip(axes.flat, found, strict=False):
        _name(axis, cold)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _panel(axis: Axes, cold: Cold) -> None:
    place, shares = _places(cold), _shares(cold)
    if shares:
        axis.plot(*zip(*(place[name] for name in shares), strict=True), "o-", color=_BEFORE)
    for name, at in place.items():
        if name == cold.main:
            axis.plot(*at, "o", color=_OURS, markersize=9, zorder=3)
        elif name not in shares:
            axis.plot(*at, "o", color=_OTHER, markersize=5)
    axis.set_title(f"{cold.dataset}: {cold.taken:.1%} of what is taken is new", fontsize=10)
    axis.set_xlabel("known items: NDCG@10")
    axis.set_ylabel("new items among all: Recall@50")
    axis.set_ylim(bottom=0)
    axis.margins(0.2, 0.12)
    axis.locator_params(axis="x", nbins=6)


def _name(axis: Axes, cold: Cold) -> None:
    """Write names where there is room for them, ours first; where there is none, none."""
    without = MEMORIES.get(cold.main or "")
    said = {cold.main: "bbqrec", without: "without memory"}
    said |= {name: f"share {name.rpartition('-')[2]}" for name in _shares(cold)}
    place, taken = _places(cold), list[Bbox]()
    for name in sorted(place, key=lambda name: name not in said):
        colour = _BEFORE if name in _shares(cold) else "black"
        for offset, side in _OFFSETS:
            label = said.get(name, name.removeprefix(f"{without}-"))
            text = axis.annotate(label, place[name], offset, ha=side, color=colour, **_LABEL)
            box = text.get_window_extent()
            inside = axis.bbox.x0 < box.x0 and box.x1 < axis.bbox.x1 and axis.bbox.y0 < box.y0
            if inside and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            text.remove()


def _places(cold: Cold) -> dict[str, tuple[float, float]]:
    return {
        name: (
            float(cold.values(name, "all-warm", "ndcg@10").mean()),
            float(cold.values(name, "all-cold", "recall@50").mean()),
        )
        for name in cold.models
    }


def _shares(cold: Cold) -> list[str]:
    without = MEMORIES.get(cold.main or "")
    return sorted(name for name in cold.models if name.startswith(f"{without}-share-"))
