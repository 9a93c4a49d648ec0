"""Rows of ``docs/benchmarks/serving.json``: what was measured, and how it compares."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

RESULTS = Path("docs/benchmarks/serving.json")


class Row(NamedTuple):
    """One figure, the median over repetitions, beside another of the same run.

    ``ratio`` is ``value`` over the value of ``against``: of times, below 1 is faster; of rates,
    above 1 is.
    """

    what: str  # encoder, retrieval, end to end
    variant: str  # onnx int8, faiss flat, bbqrec, ...
    size: str  # the case: "L=50 B=1", "1,000,000 items", "70% of saturation"
    value: float
    unit: str  # ms, requests/s, bytes/item, recall@100, ...
    against: str | None = None  # the variant that `ratio` compares with; None: nothing
    ratio: float | None = None


def read(path: Path = RESULTS) -> list[Row]:
    """All rows kept so far."""
    if not path.exists():
        return []
    return [Row(**row) for row in json.loads(path.read_text(encoding="utf-8"))]


def replace(what: str, rows: Iterable[Row], path: Path = RESULTS) -> None:
    """Keep ``rows`` in the place of earlier ones of ``what`` and of their sizes."""
    new = list(rows)
    sizes = {row.size for row in new}
    kept = [row for row in read(path) if row.what != what or row.size not in sizes] + new
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(row._asdict()) for row in kept)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
