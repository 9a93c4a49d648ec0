"""Write the README's tables of results from docs/benchmarks: nothing is typed."""

import json
import re
from typing import Any

from benchmarks.accuracy.models import ABLATIONS
from benchmarks.accuracy.results import PROTOCOLS
from benchmarks.accuracy.tables import markdown
from benchmarks.accuracy.work import DOCS, ROOT

START, END = "<!-- results -->", "<!-- end of results -->"
DETAILS = "<details><summary>Every model, NDCG@10 and Recall@10</summary>"
METRICS = ("ndcg@10", "recall@10")


def main() -> None:
    """The gains, as the report's first table has them, and every model's figures beneath."""
    report = (DOCS / "accuracy.md").read_text(encoding="utf-8")
    gains = report[report.index("\n|") : report.index("\n## ")].strip()
    readme = ROOT / "README.md"
    results = "\n\n".join([START, gains, DETAILS, _every_model(), "</details>", END])
    pattern = re.escape(START) + ".*" + re.escape(END)
    text = readme.read_text(encoding="utf-8")
    readme.write_text(re.sub(pattern, lambda _: results, text, flags=re.DOTALL), encoding="utf-8")


def _every_model() -> str:
    """One row a data set and model, one column a protocol and metric; the best in bold."""
    rows = json.loads((DOCS / "accuracy.json").read_text(encoding="utf-8"))
    found = {
        (r["dataset"], r["model"], r["protocol"], r["metric"]): r
        for r in rows
        if r["model"] not in ABLATIONS  # they have a table of their own
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
    mean = f"{row['mean']:.4f}"
    mean = f"**{mean}**" if row["mean"] == best else mean
    return f"{mean} [{row['ci_low']:.4f}, {row['ci_high']:.4f}]"


if __name__ == "__main__":
    main()
