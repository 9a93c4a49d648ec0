"""Three times saturation: what is answered, how fast the rest is refused, and what it costs."""

import http.client
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.peers.environment import ROOT
from benchmarks.reliability.flood import KINDS, Outcome
from benchmarks.reliability.program import Program, running
from benchmarks.reliability.rows import Row, of_one
from benchmarks.serving import drawn_bundle

_ITEMS, _BODIES = 12_000, 2000
_TIMES = 3  # saturation
_CALM = 0.5  # of saturation, before and after
_RECOVERY = 2.0  # seconds
_PROBE = 0.05  # seconds between looks at /livez and memory


class Plan(NamedTuple):
    """How thorough to be: seconds."""

    seconds: float = 60.0  # of the flood
    calm: float = 10.0  # of saturation, and of the load before and after
    warm: float = 40.0  # before all that, until as many answers are remembered as ever will be


class Seen(NamedTuple):
    """While it was flooded."""

    alive: list[float]  # milliseconds until /livez answered
    memory: list[int]  # bytes


class Measured(NamedTuple):
    """One kind of flood."""

    saturation: Outcome
    before: Outcome
    flood: Outcome
    after: Outcome
    seen: Seen


class Watcher:
    """Asks /livez and looks at memory until it is told to stop."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.seen = Seen([], [])
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()

    def end(self) -> Seen:
        """What it saw."""
        self.stop.set()
        self.thread.join()
        return self.seen

    def _watch(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.program.port, timeout=10)
        while not self.stop.wait(_PROBE):
            started = time.perf_counter()
            connection.request("GET", "/livez")
            if connection.getresponse().read():
                self.seen.alive.append(1000 * (time.perf_counter() - started))
            self.seen.memory.append(self.program.memory())
        connection.close()


def rows(plan: Plan, *options: str, **settings: str) -> Iterator[Row]:
    """Kept and new connections, each against a service of its own, started with these options, and
    settings of its environment.

    It stores no events: the process that does has memory of its own, and would start meanwhile.
    """
    with tempfile.TemporaryDirectory() as scratch:
        bundle, bodies = Path(scratch) / "bundle", Path(scratch) / "bodies.json"
        drawn_bundle.write(bundle, drawn_bundle.DEFAULT, _ITEMS)
        bodies.write_text(json.dumps(drawn_bundle.bodies(_BODIES, _ITEMS)), encoding="utf-8")
        for kind in KINDS:
            with running(bundle, *options, store_every="0", **settings) as program:
                measured = measure(program, plan, kind, bodies)
            times = f"{_TIMES} times saturation for {plan.seconds:.0f} s"
            told = [f"BBQREC_{name.upper()}={value}" for name, value in settings.items()]
            fault = " ".join([f"{times}, {kind} connections", *options, *told])
            yield from promises(fault, measured)


def measure(program: Program, plan: Plan, kind: str, bodies: Path) -> Measured:
    """Saturation, a calm load, the flood, and the calm load again."""
    offer(program, plan.warm, 0, kind, bodies)
    saturation = offer(program, plan.calm, 0, kind, bodies)
    before = offer(program, plan.calm, _CALM * saturation.goodput, kind, bodies)
    watcher = Watcher(program)
    flood = offer(program, plan.seconds, _TIMES * saturation.goodput, kind, bodies)
    seen = watcher.end()
    time.sleep(_RECOVERY)
    after = offer(program, plan.calm, _CALM * saturation.goodput, kind, bodies)
    return Measured(saturation, before, flood, after, seen)


def offer(program: Program, seconds: float, rate: float, kind: str, bodies: Path) -> Outcome:
    """One load, from a process of its own; ``rate`` 0: as much as 64 clients ask."""
    module = [sys.executable, "-m", "benchmarks.reliability.flood", str(program.port)]
    arguments = [str(seconds), str(rate), kind, str(bodies)]
    done = subprocess.run([*module, *arguments], cwd=ROOT, check=True, capture_output=True)
    return Outcome(**json.loads(done.stdout))


def promises(fault: str, found: Measured) -> Iterator[Row]:
    """What was promised, and whether it was kept."""
    flood, seen, calm, after = found.flood, found.seen, found.before, found.after
    share = flood.goodput / found.saturation.goodput
    rates = f"{flood.goodput:,.0f} of {found.saturation.goodput:,.0f} a second"
    theirs = f"; the generator took {flood.cores:.2f} cores, at saturation "
    theirs += f"{found.saturation.cores:.2f}"
    text = f"{share:.0%}: {rates}{theirs}"
    yield of_one(fault, "goodput at least 90% of saturation", share >= 0.9, text)
    all_but_200 = flood.refused + flood.failed
    what = f"{flood.failed} failed otherwise"
    if flood.unsent:
        what += f"; the generator could not connect for {flood.unsent} more"
    refusal = "what is not answered is refused with 503 and Retry-After"
    yield Row(fault, all_but_200, refusal, flood.refused, what)
    times = f"{flood.refused_p50:.1f} ms, p99 {flood.refused_p99:.1f} ms; generator late "
    quick = flood.refused_p50 <= 20 and flood.refused_p99 <= 100
    times += f"{flood.late:.1f} ms (p99)"
    yield of_one(fault, "refusals within 20 ms, p99 100 ms, as clients see it", quick, times)
    slowest, p99 = max(seen.alive), float(np.percentile(seen.alive, 99))
    in_time = sum(took < 100 for took in seen.alive)
    text = f"p99 {p99:.1f} ms, at most {slowest:.1f} ms"
    yield Row(fault, len(seen.alive), "/livez under 100 ms", in_time, text)
    early, late = (float(np.median(part)) for part in np.array_split(seen.memory, 4)[1::2])
    text = f"{early / 2**20:.0f} MiB in the second quarter, {late / 2**20:.0f} MiB in the last"
    yield of_one(fault, "memory flat: within 5%", late <= 1.05 * early, text)
    text = f"p50 {calm.p50:.1f} ms before, {after.p50:.1f} ms after; p99 {calm.p99:.1f}, "
    text += f"{after.p99:.1f} ms"
    yield of_one(
        fault, "normal latency 2 s later: p50 at most 1.5 times", after.p50 <= 1.5 * calm.p50, text
    )
