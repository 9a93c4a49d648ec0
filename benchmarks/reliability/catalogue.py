"""A catalogue that changes while it serves: two replicas, a real Redis, writes, kills, a restart.

Items are encoded by an intake that costs nothing: what is measured is all the rest.
"""

import contextlib
import json
import multiprocessing
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.peers.environment import ROOT
from benchmarks.reliability.live_shop import keeping_redis, shop
from benchmarks.reliability.program import Program
from benchmarks.reliability.rows import Row, of_one
from benchmarks.serving import drawn_bundle
from service.catalogue.file_log import FileLog

_ITEMS = 12_000
_WRITER = """
import sys
from pathlib import Path
from service.catalogue.change import Change
from service.catalogue.file_log import FileLog
log, n = FileLog(Path(sys.argv[1]), worth=20_000), 0
while True:
    some = [Change("put", f"item-{n % 50}", float(n + m)) for m in range(n % 7 + 1)]
    print(log.append(some)[-1], flush=True)
    n += 1
    log.compact_if_due()
"""
_JSON = {"content-type": "application/json"}
_SOON = 1.0  # seconds in which another replica knows
_WRITES = 100  # a second


class Plan(NamedTuple):
    """How thorough to be."""

    puts: int = 1000
    kills: int = 200
    seconds: float = 30.0  # of recommendations, with writes and without
    items: int = 100_000  # of the restart


class Client:
    """One connection to a replica."""

    def __init__(self, port: int) -> None:
        self.connection = HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
        self.connection.request(method, path, body, _JSON)
        response = self.connection.getresponse()
        return response.status, response.read()

    def put(self, item_id: str, like: str) -> int:
        return self.ask("PUT", f"/items/{item_id}", json.dumps({"text": {"like": like}}))[0]

    def recommended(self, history: str, k: int = 20) -> set[str]:
        body = json.dumps({"history": [history], "k": k})
        status, answer = self.ask("POST", "/recommend", body)
        if status != 200:
            raise RuntimeError(f"{status}: {answer!r}")
        return {item["item_id"] for item in json.loads(answer)["items"]}


def rows(plan: Plan) -> Iterator[Row]:
    """All of it."""
    with tempfile.TemporaryDirectory() as scratch:
        bundle = Path(scratch) / "bundle"
        drawn_bundle.write(bundle, drawn_bundle.DEFAULT, _ITEMS)
        with keeping_redis(Path(scratch)) as url, _two(bundle, url) as (here, there):
            yield from _seen_elsewhere(here, there, plan.puts)
            yield from _under_writes(here, there, plan.seconds)
        yield _killed(Path(scratch) / "killed", plan.kills)
        yield from _restarted(bundle, Path(scratch) / "live", plan.items)


def _seen_elsewhere(here: Program, there: Program, puts: int) -> Iterator[Row]:
    """From the answer of a put on one until the other recommends the item."""
    writer, reader = Client(here.port), Client(there.port)
    history, like = _pair(reader)
    took, answered = [], []
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
    p50, p99 = (1000 * float(np.quantile(took, q)) for q in (0.5, 0.99))
    text = f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, at most {1000 * max(took):.0f} ms"
    promise = "recommended by another replica, real Redis, in 1 s"
    yield Row("an item is put", puts, promise, sum(t < _SOON for t in took), text)
    put = 1000 * float(np.quantile(answered, 0.5))
    promise = "answered in 5 ms (p50), its encoder left out"
    yield of_one("an item is put", promise, put < 5, f"{put:.1f} ms")


def _under_writes(here: Program, there: Program, seconds: float) -> Iterator[Row]:
    """One client asks one after another; meanwhile items are put and deleted, or not.

    It is a process of its own: who writes would otherwise make it wait for the interpreter.
    """
    fault = f"{_WRITES} puts and deletes a second"
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as alone:
        calm = alone.submit(_latencies, here.port, seconds).result()
        measured = alone.submit(_latencies, here.port, seconds)
        found = _written_while(here, there, measured)
        busy = measured.result()
    before, during = (1000 * float(np.quantile(times, 0.99)) for times in (calm, busy))
    text = f"{during:.1f} ms, {before:.1f} ms without: {during / before:.2f} times; "
    text += f"{found['deletes'] / seconds:.0f} deletes a second"
    yield of_one(fault, "p99 at most 1.3 times that without", during <= 1.3 * before, text)
    deletes = found["deletes"]
    for where, promise in (
        ("here", "a deleted item is not recommended after the answer"),
        ("there", "nor by another replica after 1 s"),
    ):
        yield Row(fault, deletes, promise, deletes - found[where], f"{found[where]} were")
    errors = found["errors"]
    yield Row(fault, 2 * deletes, "no server errors", 2 * deletes - errors, f"{errors} errors")


def _written_while(here: Program, there: Program, measured: Future[Any]) -> dict[str, int]:
    """Write to one and look at the other until the measurement is done; what was seen."""
    stop, late = threading.Event(), list[tuple[float, str]]()
    found = {"deletes": 0, "here": 0, "there": 0, "errors": 0}
    threads = [
        threading.Thread(target=_write, args=(here, stop, late, found)),
        threading.Thread(target=_look, args=(there, stop, late, found)),
    ]
    for thread in threads:
        thread.start()
    wait([measured])
    stop.set()
    for thread in threads:
        thread.join()
    return found


def _latencies(port: int, seconds: float) -> list[float]:
    client, times = Client(port), list[float]()
    until = time.perf_counter() + seconds
    bodies = drawn_bundle.bodies(500, _ITEMS)
    while (started := time.perf_counter()) < until:
        client.ask("POST", "/recommend", bodies[len(times) % len(bodies)])
        times.append(time.perf_counter() - started)
    return times


def _write(
    here: Program, stop: threading.Event, late: list[tuple[float, str]], found: dict[str, int]
) -> None:
    """Put, delete, and look at once whether it is recommended still."""
    client = Client(here.port)
    history, like = _pair(client)
    due = time.perf_counter()
    while not stop.is_set():
        item_id = f"busy-{found['deletes']}"
        statuses = client.put(item_id, like), client.ask("DELETE", f"/items/{item_id}")[0]
        found["errors"] += sum(status != 200 for status in statuses)
        late.append((time.perf_counter() + _SOON, item_id))
        found["deletes"] += 1
        if found["deletes"] % 5 == 0:
            found["here"] += item_id in client.recommended(history)
        due += 2 / _WRITES
        time.sleep(max(0.0, due - time.perf_counter()))


def _look(
    there: Program, stop: threading.Event, late: list[tuple[float, str]], found: dict[str, int]
) -> None:
    """What was deleted a second ago and more."""
    client = Client(there.port)
    history, _ = _pair(client)
    while not stop.wait(0.1):
        now = time.perf_counter()
        deleted = {item_id for due, item_id in late if due <= now}
        found["there"] += len(deleted & client.recommended(history))


def _pair(client: Client) -> tuple[str, str]:
    """A history, and an item that is among its best: what is like it is, too."""
    for number in range(100):
        best = sorted(client.recommended(f"item-{number}", 3) - {f"item-{number}"})
        like = [item_id for item_id in best if item_id.startswith("item-")]
        if like:
            return f"item-{number}", like[0]
    raise RuntimeError("nothing is recommended")


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
        reader, last = FileLog(folder).reader(), -1
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
