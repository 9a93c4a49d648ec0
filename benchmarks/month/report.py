"""The table and the plot of a month."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.month.serving import WAYS, Way

_WEEKS = (1, 1), (2, 8), (9, 15), (16, 22), (23, 30)  # first and last day
_LATE = 22  # days before those that are set beside the first
_COLOURS: Mapping[Way, str] = {"static": "#4a5568", "live": "#e07b00", "loop": "#2b6cb0"}
_SAID: Mapping[Way, str] = {
    "static": "static: the first day's bundle, which hears of nothing",
    "live": "live: the same, told of items and events",
    "loop": "loop: and trained every night",
}
_SHOPS = "Means over {} shops, and the least and the most of one"
_WHAT = """# A month of a shop that does not stand still

`python -m benchmarks.month`: 400 items, 500 users, some 900 answers a day, all made up, so that
what users would do is known. Every day 1.5% of the items go and as many come, 2% of the users
change their taste, styles come into fashion and go out of it within 30 days, and every week which
group of items follows which changes for two of eight. 20 days lie before the first bundle. Each
answer of ten is judged by the clicks to be expected of it, as a share of those of the best ten
there are; users click on what they are shown or look for something themselves, and either is what
the service hears of. The service and the nightly `bbqrec-train follow` are the real programs, over
HTTP. How a real shop drifts is another matter: this shows what each part is there for, not how much
it brings to yours.

"""


def report(rows: Sequence[dict[str, Any]], results: Path) -> None:
    """Print and write them, of shops that were served in every way."""
    done = {(row["seed"], row["way"]) for row in rows}
    rows = [row for row in rows if all((row["seed"], way) in done for way in WAYS)]
    share_WSD = {way: _by_day(rows, way) for way in WAYS}
    heads = ["", *(f"day {a}" if a == b else f"days {a} to {b}" for a, b in _WEEKS), "kept"]
    table = Table(*heads, title="share of the best possible clicks")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for way, share_SD in share_WSD.items():
        cells = [_of(share_SD[:, a - 1 : b].mean(axis=1)) for a, b in _WEEKS]
        cells.append(_of(share_SD[:, _LATE:].mean(axis=1) / share_SD[:, 0]))
        table.add_row(way, *cells)
        lines.append(f"| {' | '.join([_SAID[way], *cells])} |")
    Console().print(table)
    text = f"{_WHAT}{chr(10).join(lines)}\n\n{_notes(rows)}\n\n![by day](month.png)\n"
    (results / "month.md").write_text(text, encoding="utf-8")
    _plot(share_WSD, results / "month.png")


def _by_day(rows: Sequence[dict[str, Any]], way: Way) -> NDArray[np.float64]:
    """(S, D)."""
    of_way = [row for row in rows if row["way"] == way]
    seeds, days = (sorted({row[name] for row in of_way}) for name in ("seed", "day"))
    share_SD = np.full((len(seeds), len(days)), np.nan)
    for row in of_way:
        share_SD[seeds.index(row["seed"]), row["day"] - 1] = row["share"]
    return share_SD


def _of(values_S: NDArray[np.float64]) -> str:
    """The mean over shops, and of several the least and the most of one."""
    mean = f"{values_S.mean():.0%}"
    return mean if len(values_S) == 1 else f"{mean} ({values_S.min():.0%} to {values_S.max():.0%})"


def _notes(rows: Sequence[dict[str, Any]]) -> str:
    nights = [row["night"] for row in rows if row["night"]]
    passed = sum(night["passed"] for night in nights)
    gone = {way: np.mean([r["gone"] for r in rows if r["way"] == way]) for way in WAYS}
    new = {way: np.mean([r["new"] for r in rows if r["way"] == way]) for way in WAYS}
    best = np.mean([row["best_new"] for row in rows if row["way"] == "loop"])
    shops = len({row["seed"] for row in rows})
    loop_SD = _by_day(rows, "loop")
    kept = (loop_SD[:, _LATE:].mean(axis=1) / loop_SD[:, 0]).mean()
    return (
        f"{_SHOPS.format(shops) if shops > 1 else 'One shop'}; *kept*: of days 23 to 30 beside "
        f"day 1. Of {len(nights)} nights the gate let {passed} through. Of what was shown "
        f"{gone['static']:.0%} (static), {gone['live']:.0%} (live) and {gone['loop']:.0%} (loop) "
        f"were no more to be had; {new['static']:.0%}, {new['live']:.0%} and {new['loop']:.0%} had "
        f"come since the first day, of the best ten {best:.0%}. The loop keeps {kept:.1%} of its "
        f"first day's share."
    )


def _plot(share_WSD: Mapping[Way, NDArray[np.float64]], path: Path) -> None:
    figure, axis = plt.subplots(figsize=(7, 3.8))
    for way, share_SD in share_WSD.items():
        days, colour = np.arange(1, share_SD.shape[1] + 1), _COLOURS[way]
        axis.plot(days, share_SD.mean(axis=0), label=_SAID[way], color=colour)
        axis.fill_between(days, share_SD.min(0), share_SD.max(0), color=colour, alpha=0.15, lw=0)
    goal = 0.95 * share_WSD["loop"][:, 0].mean()
    axis.axhline(goal, color="#9aa5b1", lw=0.8, ls="--")
    beside = axis.get_yaxis_transform()
    axis.text(1.01, goal, "95% of the\nloop's first day", transform=beside, fontsize=7, va="center")
    axis.set(xlabel="day", ylabel="share of the best possible clicks", ylim=(0, 1), xlim=(1, None))
    axis.legend(fontsize=8, loc="upper left")
    figure.savefig(path, dpi=120, bbox_inches="tight")
