"""Write the README's tables of results from docs/benchmarks: nothing is typed."""

import json
import re
from typing import Any

from benchmarks.accuracy.cold.models import CONTENT_KNN, MAIN, WORDED
from benchmarks.accuracy.cold.results import SHOWN, TAKEN, USERS
from benchmarks.accuracy.models import (
    ABLATIONS,
    BACKBONES,
    COUNTED,
    MEMORIES,
    MEMORY,
    OURS,
    SHIPPED,
    TRANSITIONS,
)
from benchmarks.accuracy.results import PROTOCOLS
from benchmarks.accuracy.tables import markdown
from benchmarks.accuracy.work import DOCS, ROOT

START, END = "<!-- results -->", "<!-- end of results -->"
SEEDS = 3  # of a learned model, where it has them all
DETAILS = "<details><summary>Every model, NDCG@10 and Recall@10</summary>"
METRICS = ("ndcg@10", "recall@10")
COUNTED_START, COUNTED_END = "<!-- counted -->", "<!-- end of counted -->"
COUNTED_MODELS = (
    *("item-knn-decayed", TRANSITIONS, MEMORY, *BACKBONES),
    *(f"{name}-and-memory" for name in BACKBONES),
    *(OURS, WORDED, *SHIPPED[:2]),
)
REPLAY_START, REPLAY_END = "<!-- replay -->", "<!-- end of replay -->"
REPLAYED = "online-retail"
NIGHTS_START, NIGHTS_END = "<!-- nights -->", "<!-- end of nights -->"
MONTH_START, MONTH_END = "<!-- month -->", "<!-- end of month -->"
NEW_START, NEW_END = "<!-- new items -->", "<!-- end of new items -->"
NEW_MODELS = (*BACKBONES, "item-knn-decayed", "popularity", "popular-7-days")
NEW_COLUMNS = {
    "new among all R@10": ("all", "cold", "recall@10"),
    "new among all R@50": ("all", "cold", "recall@50"),
    "known NDCG@10": ("all", "warm", "ndcg@10"),
    "mixed NDCG@10": ("all", "all", "ndcg@10"),
}


def main() -> None:
    """The gains, as the report's first table has them, and every model's figures beneath."""
    report = (DOCS / "accuracy.md").read_text(encoding="utf-8")
    gains = report[report.index("\n|") : report.index("\n## ")].strip()
    readme = ROOT / "README.md"
    results = "\n\n".join([START, gains, DETAILS, _every_model(), "</details>", END])
    new = "\n\n".join([NEW_START, _new_items(), NEW_END])
    counted = "\n\n".join([COUNTED_START, _counted(), COUNTED_END])
    text = _between(START, END, results, readme.read_text(encoding="utf-8"))
    text = _between(COUNTED_START, COUNTED_END, counted, text)
    table = (DOCS / f"replay-{REPLAYED}.md").read_text(encoding="utf-8").strip()
    text = _between(REPLAY_START, REPLAY_END, "\n\n".join([REPLAY_START, table, REPLAY_END]), text)
    table = (DOCS / f"replay-models-{REPLAYED}.md").read_text(encoding="utf-8").strip()
    text = _between(NIGHTS_START, NIGHTS_END, "\n\n".join([NIGHTS_START, table, NIGHTS_END]), text)
    month = (DOCS / "month.md").read_text(encoding="utf-8")
    table = month[month.index("\n|") : month.index("\n\n", month.index("\n|"))].strip()
    text = _between(MONTH_START, MONTH_END, "\n\n".join([MONTH_START, table, MONTH_END]), text)
    readme.write_text(_between(NEW_START, NEW_END, new, text), encoding="utf-8")


def _between(start: str, end: str, content: str, text: str) -> str:
    """The text with all from one mark to the other exchanged."""
    pattern = re.escape(start) + ".*" + re.escape(end)
    return re.sub(pattern, lambda _: content, text, flags=re.DOTALL)


def _counted() -> str:
    """NDCG@10: a row a data set and protocol, a column a model; who has fewer seeds says so."""
    rows = json.loads((DOCS / "accuracy.json").read_text(encoding="utf-8"))
    found = {(r["dataset"], r["protocol"], r["model"]): r for r in rows if r["metric"] == "ndcg@10"}
    models = [model for model in COUNTED_MODELS if any(key[2] == model for key in found)]
    lines = []
    for dataset, protocol in dict.fromkeys(key[:2] for key in found):
        if (dataset, protocol, MEMORY) in found:
            cells = [_mean(found.get((dataset, protocol, model))) for model in models]
            lines.append([dataset, protocol, *cells])
    return markdown(["data set", "protocol", *models], lines).strip()


def _mean(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    few = row["model"] not in COUNTED and row["seeds"] < SEEDS
    return f"{row['mean']:.4f}" + (f" ({row['seeds']} seed)" if few else "")


def _new_items() -> str:
    """One row a data set and model: ours, what it was before, and the best of content alone."""
    rows = json.loads((DOCS / "cold.json").read_text(encoding="utf-8"))
    found = {
        (r["dataset"], r["model"], r["candidates"], r["targets"], r["metric"]): r for r in rows
    }
    lines = []
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        main = next((m for m in MAIN if (dataset, m, "all", "all", SHOWN) in found), None)
        if main is None:
            continue
        without = MEMORIES[main]
        ours = {main: "bbqrec", without: "bbqrec without memory"}
        ours[f"{without}-share-0"] = "bbqrec without either, before calibration"
        knn = max(CONTENT_KNN, key=lambda m: found[dataset, m, "all", "cold", "recall@50"]["mean"])
        taken = found[dataset, USERS, "all", "all", TAKEN]["mean"]
        for model, name in {**ours, **{other: other for other in (*NEW_MODELS, knn)}}.items():
            if shown := found.get((dataset, model, "all", "all", SHOWN)):
                cells = [_interval(found[dataset, model, *c]) for c in NEW_COLUMNS.values()]
                share = f"{shown['mean']:.1%} / {taken:.1%}"
                lines.append([dataset, name, *cells, share, str(shown["seeds"])])
    return markdown(["data set", "model", *NEW_COLUMNS, "shown / taken", "seeds"], lines).strip()


def _interval(row: dict[str, Any]) -> str:
    return f"{row['mean']:.4f} [{row['ci_low']:.4f}, {row['ci_high']:.4f}]"


def _every_model() -> str:
    """One row a data set and model, one column a protocol and metric; the best in bold."""
    rows = json.loads((DOCS / "accuracy.json").read_text(encoding="utf-8"))
    found = {
        (r["dataset"], r["model"], r["protocol"], r["metric"]): r
        for r in rows
        if r["model"] not in ABLATIONS or r["model"] in SHIPPED  # they have a table of their own
    }
    columns = [(protocol, metric) for protocol in PROTOCOLS for metric in METRICS]
    header = ["data set", "model", "seeds", *(f"{p} {m}" for p, m in columns)]
    lines = []
    for dataset, model in dict.fromkeys(key[:2] for key in found):
        cells = [_cell(found, dataset, model, *column) for column in columns]
        seeds = str(found[dataset, model, "strict", METRICS[0]]["seeds"])
        lines.append([dataset, model, seeds, *cells])
    return markdown(header, lines).strip()


def _cell(found: dict[Any, dict[str, Any]], dataset: str, model: str, *column: str) -> str:
    row = found.get((dataset, model, *column))
    if row is None:
        return ""
    best = max(r["mean"] for k, r in found.items() if k[0] == dataset and k[2:] == column)
    mean, _, interval = _interval(row).partition(" ")
    return f"**{mean}** {interval}" if row["mean"] == best else f"{mean} {interval}"


if __name__ == "__main__":
    main()
