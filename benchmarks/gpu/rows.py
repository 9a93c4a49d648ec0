"""Rows of what was measured, and how they are written."""

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from service.runtime import Device

OUT = Path(os.environ.get("OUT", Path(__file__).parents[2] / "docs" / "benchmarks"))
TURNS = 20
_RATE = "a second"  # units that end so are the better the larger


class Where(NamedTuple):
    """What is measured: ``cuda``, or ``cpu`` in its place; much, or a little. scratch: a folder."""

    device: Device
    small: bool
    scratch: Path

    @property
    def on_gpu(self) -> bool:
        """Whether it is the real thing."""
        return self.device == "cuda"


class Row(NamedTuple):
    """A figure. floor: what the machine needs at least. goal: None where there is none."""

    what: str
    size: str
    value: float
    unit: str
    floor: float | None = None
    goal: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether it is as good as its goal."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.unit.endswith(_RATE) else self.value <= self.goal


def write(rows: Sequence[Row], name: str) -> None:
    """All so far, of the device of that name."""
    OUT.mkdir(parents=True, exist_ok=True)
    told = [row._asdict() | {"met": row.met, "device": name} for row in rows]
    (OUT / "gpu.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    lines = ["| what | size | value | floor | goal | met |", "|---|---|---|---|---|---|"]
    for row in rows:
        compared = map(_cell, (row.floor, row.goal, row.met))
        cells = row.what, row.size, f"{row.value:.4g} {row.unit}", *compared
        lines.append(f"| {' | '.join(cells)} |")
    text = f"# On {name}\n\n`python -m benchmarks.gpu`\n\n" + "\n".join(lines) + "\n"
    (OUT / "gpu.md").write_text(text, encoding="utf-8")


def median(call: Callable[[], object], where: Where) -> float:
    """Milliseconds, to the end of what the device was asked for."""

    def wait() -> None:
        if where.on_gpu:
            torch.cuda.synchronize()

    for _ in range(4):
        call()
    taken = []
    for _ in range(TURNS):
        wait()
        began = time.perf_counter()
        call()
        wait()
        taken.append(time.perf_counter() - began)
    return 1000 * float(np.median(taken))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return ("yes" if value else "no") if isinstance(value, bool) else f"{value:.3g}"
