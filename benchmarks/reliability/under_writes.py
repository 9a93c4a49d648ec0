"""Recommendations while items are put and deleted: how late they are, what they may not hold."""

import multiprocessing
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from typing import Any

import numpy as np

from benchmarks.reliability.client import Client, pair
from benchmarks.reliability.program import Program
from benchmarks.reliability.rows import Row, of_one
from benchmarks.serving import drawn_bundle

SOON = 1.0  # seconds in which another replica knows
_WRITES = 100  # a second


def under_writes(here: Program, there: Program, seconds: float, items: int) -> Iterator[Row]:
    """One client asks one after another; meanwhile items are put and deleted, or not.

    It is a process of its own: who writes would otherwise make it wait for the interpreter.
    """
    fault = f"{_WRITES} puts and deletes a second"
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as alone:
        calm = alone.submit(latencies, here.port, seconds, items).result()
        measured = alone.submit(latencies, here.port, seconds, items)
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


def latencies(port: int, seconds: float, items: int) -> list[float]:
    """Of requests one after another, in seconds."""
    client, times = Client(port), list[float]()
    until = time.perf_counter() + seconds
    bodies = drawn_bundle.bodies(500, items)
    while (started := time.perf_counter()) < until:
        client.ask("POST", "/recommend", bodies[len(times) % len(bodies)])
        times.append(time.perf_counter() - started)
    return times


def _write(
    here: Program, stop: threading.Event, late: list[tuple[float, str]], found: dict[str, int]
) -> None:
    """Put, delete, and look at once whether it is recommended still."""
    client = Client(here.port)
    history, like = pair(client)
    due = time.perf_counter()
    while not stop.is_set():
        item_id = f"busy-{found['deletes']}"
        statuses = client.put(item_id, like), client.ask("DELETE", f"/items/{item_id}")[0]
        found["errors"] += sum(status != 200 for status in statuses)
        late.append((time.perf_counter() + SOON, item_id))
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
    history, _ = pair(client)
    while not stop.wait(0.1):
        now = time.perf_counter()
        deleted = {item_id for due, item_id in late if due <= now}
        found["there"] += len(deleted & client.recommended(history))
