"""A catalogue that changes while it serves: two replicas, a real Redis, writes, kills, a restart.

Items are encoded by an intake that costs nothing: what is measured is all the rest.
"""

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.monitoring.redis import Redis
from benchmarks.peers.environment import ROOT
from benchmarks.reliability.client import Client, pair
from benchmarks.reliability.live_shop import shop
from benchmarks.reliability.program import Program
from benchmarks.reliability.rows import Row, of_one
from benchmarks.reliability.under_writes import SOON, under_writes
from benchmarks.serving import drawn_bundle
from service.catalogue.change_log import CHANGE_LOG
from service.log.file_log import FileLog

_ITEMS = 12_000
_WRITER = """
import sys
from pathlib import Path
from service.catalogue.change import Change
from service.catalogue.change_log import CHANGE_LOG
from service.log.file_log import FileLog
log, n = FileLog(Path(sys.argv[1]), CHANGE_LOG, worth=20_000), 0
while True:
    some = [Change("put", f"item-{n % 50}", float(n + m)) for m in range(n % 7 + 1)]
    print(log.append(some)[-1], flush=True)
    n += 1
    log.compact_if_due()
"""


class Plan(NamedTuple):
    """How thorough to be."""

    puts: int = 1000
    kills: int = 200
    seconds: float = 30.0  # of recommendations, with writes and without
    items: int = 100_000  # of the restart


def rows(plan: Plan) -> Iterator[Row]:
    """All of it."""
    with tempfile.TemporaryDirectory() as scratch:
        bundle = Path(scratch) / "bundle"
        drawn_bundle.write(bundle, drawn_bundle.DEFAULT, _ITEMS)
        with contextlib.ExitStack() as stack:
            redis = Redis(Path(scratch) / "redis")
            stack.callback(redis.stop)
            here, there = stack.enter_context(_two(bundle, redis.url))
            yield from _seen_elsewhere(here, there, plan.puts)
            yield from under_writes(here, there, plan.seconds, _ITEMS)
        yield _killed(Path(scratch) / "killed", plan.kills)
        yield from _restarted(bundle, Path(scratch) / "live", plan.items)


def _seen_elsewhere(here: Program, there: Program, puts: int) -> Iterator[Row]:
    """From the answer of a put on one until the other recommends the item."""
    writer, reader = Client(here.port), Client(there.port)
    history, like = pair(reader)
    took, answered, recommended = [], [], []
    for number in range(puts):
        started = time.perf_counter()
        writer.put(f"new-{number}", like)
        written = time.perf_counter()
        while f"new-{number}" not in reader.recommended(history):
            if time.perf_counter() - written > 30:
                break
        took.append(time.perf_counter() - written)
        answered.append(written - started)
        writer.ask("DELETE", f"/items/new-{number}")
        started = time.perf_counter()
        writer.recommended(history)
        recommended.append(time.perf_counter() - started)
    p50, p99 = (1000 * float(np.quantile(took, q)) for q in (0.5, 0.99))
    text = f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, at most {1000 * max(took):.0f} ms"
    promise = "recommended by another replica, real Redis, in 1 s"
    yield Row("an item is put", puts, promise, sum(t < SOON for t in took), text)
    put, like_it = (1000 * float(np.quantile(times, 0.5)) for times in (answered, recommended))
    promise = "answered in 5 ms (p50), its encoder left out"
    text = f"{put:.1f} ms, {put / like_it:.1f} times a recommendation"
    yield of_one("an item is put", promise, put < 5, text)


def _killed(folder: Path, kills: int) -> Row:
    """A process that writes, and compacts; what it was told is kept must be there."""
    random, kept, told = np.random.default_rng(0), 0, 0
    for _ in range(kills):
        command = [sys.executable, "-c", _WRITER, str(folder)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(float(random.uniform(0, 0.1)))
        process.send_signal(signal.SIGKILL)
        lines = process.stdout.read().split("\n")
        process.wait()
        told = max([told, *(int(line) for line in lines[:-1])])
        reader, last = FileLog(folder, CHANGE_LOG).reader(), -1
        while reader.position != last:
            last = reader.position
            reader.read(1000)
        kept += reader.position >= told
    text = f"{told:,} changes acknowledged"
    return Row(
        "`kill -9` while the log is written", kills, "no acknowledged write lost", kept, text
    )


def _restarted(bundle: Path, live: Path, items: int) -> Iterator[Row]:
    """Put all, a line each, then start anew."""
    body = "\n".join(
        json.dumps({"item_id": f"new-{n}", "title": "A title", "text": {"like": f"item-{n % 999}"}})
        for n in range(items)
    )
    with shop(bundle, live=str(live)) as program:
        started = time.perf_counter()
        answer = Client(program.port).ask("PUT", "/items", body)[1]
        rate = items / (time.perf_counter() - started)
        written = answer.count(b'"status":200')
    text = f"{rate:,.0f} a second"
    promise = "all are kept, 2,000 a second and more"
    kept = written if rate >= 2000 else 0
    yield Row("items are put in bulk, their encoder left out", items, promise, kept, text)
    started = time.perf_counter()
    with shop(bundle, live=str(live)) as program:
        took = time.perf_counter() - started
        found = json.loads(Client(program.port).ask("GET", "/model")[1])["live"]["items"]
    text = f"{took:.1f} s from start to ready, {found:,} live items"
    promise = "ready with all of them in 10 s"
    yield of_one(f"restart with {items:,} live items", promise, took <= 10 and found == items, text)


@contextlib.contextmanager
def _two(bundle: Path, url: str) -> Iterator[tuple[Program, Program]]:
    settings = {"log_url": url, "redis_url": url}
    with shop(bundle, **settings) as here, shop(bundle, **settings) as there:
        yield here, there
