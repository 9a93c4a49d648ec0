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

_LABEL: dict[str, Any] = {"textcoords": "offset points", "fontsize": 7}
_BESIDE = 3  # panels in a row
_OURS, _BEFORE, _OTHER = "#e07b00", "#2b6cb0", "#9aa5b1"


def trade_off(found: list[Cold], path: Path) -> None:
    """Recall@50 of new items among all over NDCG@10 of known ones, a panel a data set.

    Blue: our weights before calibration, with every share that all items alike may borrow.
    """
    rows = math.ceil(len(found) / _BESIDE)
    figure, axes = plt.subplots(rows, _BESIDE, figsize=(5 * _BESIDE, 4 * rows), squeeze=False)
    for axis, cold in zip_longest(axes.flat, found):
        if cold is None:
            axis.axis("off")
        else:
            _panel(axis, cold)
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _panel(axis: Axes, cold: Cold) -> None:
    place = {
        name: (
            float(cold.values(name, "all-warm", "ndcg@10").mean()),
            float(cold.values(name, "all-cold", "recall@50").mean()),
        )
        for name in cold.models
    }
    without = MEMORIES.get(cold.main or "")
    named = {cold.main: "bbqrec", without: "without memory"}
    shares = sorted(name for name in place if name.startswith(f"{without}-share-"))
    if shares:
        known, new = zip(*(place[name] for name in shares), strict=True)
        axis.plot(known, new, "o-", color=_BEFORE)
        for name in shares:
            said = name.rpartition("-")[2]
            axis.annotate(
                f"share {said}", place[name], (-6, -9), **_LABEL, ha="right", color=_BEFORE
            )
    for name, at in place.items():
        if "-share-" not in name:
            colour = _OURS if name == cold.main else _OTHER
            axis.plot(*at, "o", color=colour, markersize=9 if name == cold.main else 5)
            label = named.get(name, name.removeprefix(f"{without}-"))
            below = name in named and name != cold.main
            axis.annotate(label, at, (6, -9) if below else (6, 3), **_LABEL)
    axis.set_title(f"{cold.dataset}: {cold.taken:.1%} of what is taken is new", fontsize=10)
    axis.set_xlabel("known items: NDCG@10")
    axis.set_ylabel("new items among all: Recall@50")
    axis.set_ylim(bottom=0)
    axis.margins(0.2, 0.12)
