"""``python -m benchmarks.accuracy.cold.report``: tables, JSON and a plot of what is finished."""

import json

import typer

from benchmarks.accuracy import work
from benchmarks.accuracy.cold import models, plots
from benchmarks.accuracy.cold.jobs import STORE
from benchmarks.accuracy.cold.results import Cold, Floats, read
from benchmarks.accuracy.models import MEMORIES
from benchmarks.accuracy.statistics import Interval
from benchmarks.accuracy.tables import markdown

_HEAD = """# New items

Made by `python -m benchmarks.accuracy.cold` (models, tables); not edited by hand.

Items that training never saw. Of leave-one-out data a share of the items, drawn at random, is taken
out of all histories to judge by, and as large a one to choose by on validation. Of a cut through
time they are what came after it. All items are ranked unless a column says otherwise.

- *new among all*: each user's first new item after two known ones, among all items; of a cut
  through time, every event of the test part with a new item.
- *among new*: the same, ranked among new items alone.
- *known*: each user's last item of what is left; of a cut through time, every event with a known
  item.
- *mixed*: whatever comes last, known or new; of a cut through time, every event of the test part.
- *shown*: share of new items in the ten best of the mixed events; *taken*: among what is taken.

`-and-memory` are the same weights, with what was counted added; `-share-S`, before calibration:
all items alike borrow that share, as earlier releases did. Means over seeds; 95% intervals by a
bootstrap over users, and in *items* over the items that are taken.
"""


_PLOT = """![what new items gain, and known ones lose](cold.png)

Blue: our weights before calibration, with every share that all items alike may borrow.
"""


def write() -> None:
    """Write ``cold.md``, ``cold.json`` and ``cold.png``."""
    every = [read(STORE, dataset) for dataset in STORE.datasets()]
    found = [cold for cold in every if cold.models]
    lines = ",\n".join(json.dumps(row) for cold in found for row in cold.rows())
    (work.DOCS / "cold.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    if drawn := [cold for cold in found if cold.main]:
        plots.trade_off(drawn, work.DOCS / "cold.png")
    parts = [_HEAD, _PLOT]
    parts += [_section(cold) for cold in found]
    (work.DOCS / "cold.md").write_text("\n".join(parts), encoding="utf-8")
    work.console.print(f"wrote cold.md and cold.json of {len(found)} data sets")


def _section(cold: Cold) -> str:
    events = {kind: len(of["user"]) for kind, of in cold.events.kinds.items()}
    drawn = (
        f"{cold.events.cold_share:.0%} of the items new in test" if cold.events.cold_share else ""
    )
    said = [
        f"## {cold.dataset}, {cold.events.split.replace('_', '-')}\n",
        f"{drawn or 'Items new as they came'}: {events['all-cold']:,} events with a new item, "
        f"{events['all-warm']:,} with a known one, {events['all-all']:,} mixed, of which "
        f"{cold.taken:.1%} take a new item.\n",
        _table(cold),
    ]
    if cold.main:
        said += [f"\n{cold.main} against the others:\n", _against(cold, cold.main)]
    return "\n".join([*said, ""])


def _table(cold: Cold) -> str:
    header = ["model", "new among all R@10", "R@20", "R@50", "items", "among new R@10", "R@50"]
    header += ["known NDCG@10", "mixed NDCG@10", "shown", "seeds"]
    rows = []
    for name in _in_order(cold):
        of_new = {k: _mean(cold, name, "all-cold", f"recall@{k}") for k in (10, 20, 50)}
        by_item = cold.by_item["all-cold"].mean(cold.values(name, "all-cold", "recall@50"))
        cells = [f"**{name}**" if name == cold.main else name]
        cells += [f"{of_new[10].mean:.4f}", f"{of_new[20].mean:.4f}", str(of_new[50])]
        cells += [f"[{by_item.low:.4f}, {by_item.high:.4f}]"]
        cells += [f"{_mean(cold, name, 'cold-cold', f'recall@{k}').mean:.3f}" for k in (10, 50)]
        cells += [f"{_mean(cold, name, 'all-warm', 'ndcg@10').mean:.4f}"]
        cells += [str(_mean(cold, name, "all-all", "ndcg@10"))]
        cells += [f"{cold.shown(name).mean():.1%}", str(len(cold.models[name]))]
        rows.append(cells)
    return markdown(header, rows)


def _against(cold: Cold, main: str) -> str:
    """Ratios to every other model on the same events, each by the seeds that it has."""
    header = ["ratio to", "new among all R@50", "among new R@50", "known NDCG@10", "mixed NDCG@10"]
    columns = (
        ("all-cold", "recall@50"),
        ("cold-cold", "recall@50"),
        ("all-warm", "ndcg@10"),
        ("all-all", "ndcg@10"),
    )
    rows = []
    for name in _in_order(cold):
        if name != main:
            cells = (_ratio(cold, main, name, kind, metric) for kind, metric in columns)
            rows.append([name, *cells])
    return markdown(header, rows)


def _ratio(cold: Cold, main: str, name: str, kind: str, metric: str) -> str:
    theirs_E: Floats = cold.values(name, kind, metric)
    if not theirs_E.any():
        return ""
    found = cold.by_user[kind].ratio(cold.values(main, kind, metric), theirs_E)
    return f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _in_order(cold: Cold) -> list[str]:
    """Ours first, without its memory next, then the rest."""
    of_ours = (part for name in models.LEARNED for part in (name, MEMORIES.get(name)))
    named = [name for name in of_ours if name in cold.models]
    return [*named, *(name for name in cold.models if name not in named)]


def _mean(cold: Cold, name: str, kind: str, metric: str) -> Interval:
    return cold.by_user[kind].mean(cold.values(name, kind, metric))


if __name__ == "__main__":
    typer.run(write)
