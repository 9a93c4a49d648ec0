"""What the memory costs end to end: the same model, with its lists and without.

Both services are there and take turns, for a machine is faster in one minute than in the next.
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from benchmarks.memory_cost import drawn_memory
from benchmarks.serving import drawn_bundle
from benchmarks.serving.end_to_end import CPU, Plan, ask_what_is_counted, offer
from benchmarks.serving.load import Load
from benchmarks.serving.rows import Row
from benchmarks.serving.servers import OURS, running

WHAT = "memory"
ALONE, WITH = "without a memory", "with a memory"
_ITEMS, _LISTED, _BODIES = 12_000, 200, 2000
_MODERATE, _TOO_MUCH = 600.0, 4000.0  # requests a second
_LEVELS = "p50", "p99"


def rows(plan: Plan) -> Iterator[Row]:
    """CPU and latency at a moderate load, and what is answered of more than can be."""
    memory = drawn_memory(_ITEMS, _LISTED, np.random.default_rng(0))
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as services:
        bodies = Path(scratch) / "bodies.json"
        bodies.write_text(json.dumps(drawn_bundle.bodies(_BODIES, _ITEMS)), encoding="utf-8")
        ports = {}
        for name, kept in ((ALONE, None), (WITH, memory)):
            bundle = Path(scratch) / name
            drawn_bundle.write(bundle, drawn_bundle.DEFAULT, _ITEMS, memory=kept)
            ports[name] = services.enter_context(running(OURS, bundle))
        turns = [
            (name, *_counted(port, bodies, plan.seconds))
            for _ in range(plan.repetitions)
            for name, port in ports.items()
        ]
        much = [
            (name, offer(port, bodies, plan.seconds, _TOO_MUCH).answered)
            for _ in range(plan.repetitions)
            for name, port in ports.items()
        ]
    size = f"{_MODERATE:,.0f} requests/s"
    yield from _beside(size, CPU, [(name, spent) for name, spent, _ in turns])
    for level in _LEVELS:
        yield from _beside(size, f"ms {level}", [(n, getattr(load, level)) for n, _, load in turns])
    yield from _beside("more than can be answered", "requests/s", much)


def _counted(port: int, bodies: Path, seconds: float) -> tuple[float, Load]:
    """Microseconds of CPU a request, and what came of the load."""
    before = ask_what_is_counted(port)
    load = offer(port, bodies, seconds, _MODERATE)
    after = ask_what_is_counted(port)
    return 1e6 * (after.cpu - before.cpu) / (after.requests - before.requests), load


def _beside(size: str, unit: str, turns: list[tuple[str, float]]) -> Iterator[Row]:
    """Medians of all turns, and their ratio."""
    of_each = {
        name: float(np.median([value for of, value in turns if of == name]))
        for name in (ALONE, WITH)
    }
    for name, value in of_each.items():
        yield Row(WHAT, name, size, value, unit, ALONE, value / of_each[ALONE])
