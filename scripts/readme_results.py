"""Write the README's table of results from what `evaluate` left in artifacts/: nothing is typed."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
START, END = "<!-- results -->", "<!-- end of results -->"
METRICS = ("recall@10", "ndcg@10", "coverage@10")


def main() -> None:
    """One row a data set and model; the best of each metric in bold."""
    lines = ["| data set | users | model | " + " | ".join(METRICS) + " |", "|---" * 6 + "|"]
    for path in sorted((ROOT / "artifacts").glob("*/evaluate/evaluation.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        best = {m: max(values[m] for values in found["models"].values()) for m in METRICS}
        for model, values in found["models"].items():
            cells = [
                f"**{values[m]:.4f}**" if values[m] == best[m] else f"{values[m]:.4f}"
                for m in METRICS
            ]
            lines.append(
                f"| {path.parts[-3]} | {found['users']:,} | {model} | {' | '.join(cells)} |"
            )
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    table = "\n".join([START, "", *lines, "", END])
    pattern = re.escape(START) + ".*" + re.escape(END)
    readme.write_text(re.sub(pattern, table, text, flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    main()
