"""Training curves, read from what the CSV logger leaves."""

import csv
from pathlib import Path

from training.fit.sequence_module import MONITOR


def validation_curve(directory: Path) -> list[float]:
    """NDCG@10 by epoch; nothing of refit. A training that was cut short has left several files."""
    found: dict[int, float] = {}
    for file in directory.glob("curves/*/metrics.csv"):
        with file.open(encoding="utf-8") as lines:
            rows = [row for row in csv.DictReader(lines) if row.get(MONITOR)]
        found |= {int(row["epoch"]): float(row[MONITOR]) for row in rows}
    return [value for _, value in sorted(found.items())]
