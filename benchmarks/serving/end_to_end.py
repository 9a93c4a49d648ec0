"""End to end over HTTP: latency against offered load, for ours and for the references."""

import json
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

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
CPU, OVER = "µs CPU a request", "µs over the engine"


class Plan(NamedTuple):
    """How thorough to be."""

    seconds: float = 4.0  # of each load
    repetitions: int = 5
    start: float = 100.0  # requests a second


class Spent(NamedTuple):
    """What a service has counted of itself."""

    requests: float
    cpu: float  # seconds of the process
    engine: float  # seconds of encoding and searching: the machine is idle but for this, so CPU


class Measured(NamedTuple):
    """One service: what it can take, every load at shares of that, and what the headline cost."""

    saturation: float
    loads: dict[float, list[Load]]
    spent: Spent | None


def rows(plan: Plan, names: Sequence[str] = tuple(COMMANDS)) -> Iterator[Row]:
    """Throughput and latency of every service; latencies compare with ours at the same share."""
    with tempfile.TemporaryDirectory() as scratch:
        bundle, bodies = Path(scratch) / "bundle", Path(scratch) / "bodies.json"
        drawn_bundle.write(bundle, drawn_bundle.DEFAULT, _ITEMS)
        bodies.write_text(json.dumps(drawn_bundle.bodies(_BODIES, _ITEMS)), encoding="utf-8")
        check_answers(bundle, names, json.loads(bodies.read_text(encoding="utf-8"))[:_CHECKED])
        ours = None
        for name in names:
            with running(name, bundle) as port:
                counters = partial(ask_what_is_counted, port) if name == OURS else None
                measured = measure(partial(offer, port, bodies, plan.seconds), plan, counters)
            ours = ours or measured
            yield from as_rows(name, measured, ours)


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


def counted(exposition: str) -> Spent:
    """From the service's own metrics."""
    families = text_string_to_metric_families(exposition)
    found = {s.name: s.value for family in families for s in family.samples if not s.labels}
    engine = found["bbqrec_encode_seconds_sum"] + found["bbqrec_search_seconds_sum"]
    return Spent(found["bbqrec_queue_seconds_count"], found["process_cpu_seconds_total"], engine)


def ask_what_is_counted(port: int) -> Spent:
    """From a running service. A request counts when the batch that it is in begins."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
        return counted(response.read().decode())


def measure(
    offered: "partial[Load]", plan: Plan, counters: Callable[[], Spent] | None = None
) -> Measured:
    """Raise the load until the service cannot follow, then go back to shares of that."""
    rate, saturation = plan.start, 0.0
    while True:
        load = offered(rate)
        saturation = max(saturation, load.answered)
        if load.failed or load.answered < _FOLLOWS * load.offered:
            break
        rate *= _STEP
    loads, cost = {}, None
    for share in _SHARES:
        times = plan.repetitions if share == HEADLINE else 1
        before = counters() if counters else None
        loads[share] = [offered(share * saturation) for _ in range(times)]
        if before and counters and share == HEADLINE:
            pairs = zip(counters(), before, strict=True)
            cost = Spent(*(after - earlier for after, earlier in pairs))
    return Measured(saturation, loads, cost)


def as_rows(name: str, measured: Measured, ours: Measured) -> Iterator[Row]:
    """Saturation, latency by load, and what a request costs where that was counted."""
    ratio = measured.saturation / ours.saturation
    yield Row(WHAT, name, "saturation", measured.saturation, "requests/s", OURS, ratio)
    for share, loads in measured.loads.items():
        size = f"{share:.0%} of saturation"
        yield Row(WHAT, name, size, share * measured.saturation, "requests/s offered")
        yield Row(WHAT, name, size, max(load.late for load in loads), "ms late, generator")
        for level in ("p50", "p90", "p99", "p999"):
            value, own = _median(loads, level), _median(ours.loads[share], level)
            yield Row(WHAT, name, size, value, f"ms {level}", OURS, value / own)
    if measured.spent:
        yield from _cost(name, measured.spent)


def _cost(name: str, measured: Spent) -> Iterator[Row]:
    """CPU a request: all of it, the engine's, and what HTTP, Python and metrics add to that."""
    size = f"{HEADLINE:.0%} of saturation"
    whole, engine = (1e6 * s / measured.requests for s in (measured.cpu, measured.engine))
    for unit, value in ((CPU, whole), ("µs engine", engine), (OVER, whole - engine)):
        yield Row(WHAT, name, size, value, unit, "the whole", value / whole)


def _median(loads: Sequence[Load], level: str) -> float:
    return float(np.median([getattr(load, level) for load in loads]))
