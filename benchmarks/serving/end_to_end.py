"""End to end over HTTP: latency against offered load, for ours and for the references."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.peers.environment import ROOT
from benchmarks.serving import drawn_bundle
from benchmarks.serving.load import Load
from benchmarks.serving.rows import Row
from benchmarks.serving.servers import COMMANDS, OURS, ask, running

WHAT = "end to end"
_ITEMS, _BODIES, _CHECKED = 12_000, 2000, 20
_SHARES = (0.3, 0.5, 0.7, 0.9)  # of saturation, where latency is measured
HEADLINE = 0.7
_STEP = 1.25  # offered load grows by, until a service cannot follow
_FOLLOWS = 0.95  # of what is offered


class Plan(NamedTuple):
    """How thorough to be."""

    seconds: float = 4.0  # of each load
    repetitions: int = 5
    start: float = 100.0  # requests a second


class Measured(NamedTuple):
    """One service: what it can take, and every load at shares of that."""

    saturation: float
    loads: dict[float, list[Load]]


def rows(plan: Plan, names: Sequence[str] = tuple(COMMANDS)) -> Iterator[Row]:
    """Throughput and latency of every service; latencies compare with ours at the same share."""
    with tempfile.TemporaryDirectory() as scratch:
        bundle, bodies = Path(scratch) / "bundle", Path(scratch) / "bodies.json"
        drawn_bundle.write(bundle, drawn_bundle.DEFAULT, _ITEMS)
        bodies.write_text(json.dumps(_histories()), encoding="utf-8")
        check_answers(bundle, names, json.loads(bodies.read_text(encoding="utf-8"))[:_CHECKED])
        ours = None
        for name in names:
            with running(name, bundle) as port:
                measured = measure(partial(offer, port, bodies, plan.seconds), plan)
            ours = ours or measured
            yield from _as_rows(name, measured, ours)


def _histories() -> list[str]:
    random = np.random.default_rng(2)
    return [
        json.dumps({"history": [f"item-{n}" for n in random.integers(0, _ITEMS, size)], "k": 10})
        for size in drawn_bundle.lengths(_BODIES)
    ]


def check_answers(bundle: Path, names: Sequence[str], bodies: Sequence[str]) -> None:
    """All services recommend the same items. Raises RuntimeError where they do not."""
    expected: list[list[str]] | None = None
    for name in names:
        with running(name, bundle) as port:
            found = [sorted(item["item_id"] for item in ask(port, b)["items"]) for b in bodies]
        expected = expected or found
        if found != expected:
            raise RuntimeError(f"{name} recommends other items than {names[0]}")


def offer(port: int, bodies: Path, seconds: float, rate: float) -> Load:
    """One load, from a process of its own."""
    module = [sys.executable, "-m", "benchmarks.serving.load"]
    arguments = [str(port), str(rate), str(seconds), str(bodies)]
    done = subprocess.run([*module, *arguments], cwd=ROOT, check=True, capture_output=True)
    return Load(**json.loads(done.stdout))


def measure(offered: "partial[Load]", plan: Plan) -> Measured:
    """Raise the load until the service cannot follow, then go back to shares of that."""
    rate, saturation = plan.start, 0.0
    while True:
        load = offered(rate)
        saturation = max(saturation, load.answered)
        if load.failed or load.answered < _FOLLOWS * load.offered:
            break
        rate *= _STEP
    loads = {
        share: [
            offered(share * saturation) for _ in range(plan.repetitions if share == HEADLINE else 1)
        ]
        for share in _SHARES
    }
    return Measured(saturation, loads)


def _as_rows(name: str, measured: Measured, ours: Measured) -> Iterator[Row]:
    ratio = measured.saturation / ours.saturation
    yield Row(WHAT, name, "saturation", measured.saturation, "requests/s", OURS, ratio)
    for share, loads in measured.loads.items():
        size = f"{share:.0%} of saturation"
        yield Row(WHAT, name, size, share * measured.saturation, "requests/s offered")
        yield Row(WHAT, name, size, max(load.late for load in loads), "ms late, generator")
        for level in ("p50", "p90", "p99", "p999"):
            value, own = _median(loads, level), _median(ours.loads[share], level)
            yield Row(WHAT, name, size, value, f"ms {level}", OURS, value / own)


def _median(loads: Sequence[Load], level: str) -> float:
    return float(np.median([getattr(load, level) for load in loads]))
