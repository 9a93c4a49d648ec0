"""What users do, kept and known: kills while events come, another replica, answers meanwhile."""

import contextlib
import itertools
import json
import multiprocessing
import os
import random
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from benchmarks.reliability.client import Client
from benchmarks.reliability.program import Program, running
from benchmarks.reliability.rows import Row, of_one
from benchmarks.reliability.under_writes import latencies
from benchmarks.serving import drawn_bundle
from service.events.store import open_store
from service.events.storing import Storing

_ITEMS, _USERS = 12_000, 5_000
_RATE, _BATCH = 2_000, 50  # events a second, and in a request
_TURNS = 5


class Plan(NamedTuple):
    """How thorough to be."""

    events: int = 1_000_000  # that are sent while it is killed
    kills: int = 50
    seen: int = 500
    seconds: float = 60.0  # of recommendations, with events and without


class Sender:
    """Sends events as a shop does: what was not answered is sent again, with the same ids."""

    def __init__(self) -> None:
        self.numbers = itertools.count()
        self.waiting: list[dict[str, object]] = []
        self.acknowledged = 0
        self.refused = 0

    def run(self, port: int, stop: threading.Event) -> None:
        """Until told to stop, or nobody answers any more."""
        client, due = Client(port), time.perf_counter()
        with contextlib.suppress(OSError, HTTPException), contextlib.closing(client.connection):
            while not stop.is_set():
                self.waiting = self.waiting or [an_event(next(self.numbers)) for _ in range(_BATCH)]
                body = json.dumps({"events": self.waiting})
                status, _ = client.ask("POST", "/events", body)
                self.refused += status != 200
                if status == 200:
                    self.acknowledged += len(self.waiting)
                    self.waiting = []
                due = max(due + _BATCH / _RATE, time.perf_counter() - 1.0)
                time.sleep(max(0.0, due - time.perf_counter()))


def rows(plan: Plan) -> Iterator[Row]:
    """All of it."""
    with tempfile.TemporaryDirectory() as scratch:
        bundle, folder = Path(scratch) / "bundle", Path(scratch) / "events"
        drawn_bundle.write(bundle, drawn_bundle.DEFAULT, _ITEMS)
        yield from killed(bundle, Path(scratch) / "killed", plan)
        settings = {"events": str(folder), "store_every": "5"}
        with running(bundle, **settings) as here, running(bundle, **settings) as there:
            yield _seen_elsewhere(here, there, plan.seen)
        with running(bundle, **settings) as alone:
            yield from _meanwhile(alone, plan.seconds)


def killed(bundle: Path, folder: Path, plan: Plan) -> Iterator[Row]:
    """The service, and with it at times what stores; then all that was acknowledged is counted."""
    sender, draw = Sender(), random.Random(0)
    settings = {"events": str(folder), "store_every": "0.5", "live_events": "5000"}
    longest = 2 * plan.events / _RATE / plan.kills
    for _ in range(plan.kills):
        with running(bundle, **settings) as program:
            stop = threading.Event()
            sending = threading.Thread(target=sender.run, args=(program.port, stop))
            sending.start()
            time.sleep(draw.uniform(0.3, longest - 0.3))
            children = program.workers()
            program.process.send_signal(signal.SIGKILL)
            if draw.random() < 0.5:
                for child in children:
                    os.kill(child, signal.SIGKILL)
            sending.join()
    with running(bundle, **settings) as program:
        stop = threading.Event()
        sending = threading.Thread(target=sender.run, args=(program.port, stop))
        sending.start()
        while sender.acknowledged < plan.events and sending.is_alive():
            time.sleep(0.1)
        stop.set()
        sending.join()
    time.sleep(2.0)  # whatever stores ends with who started it
    store = open_store(Storing(folder=folder))
    store.run()
    ids = pl.read_parquet(store.done.files(), columns=["id"], hive_partitioning=False)["id"]
    there, fault = (
        ids.n_unique(),
        f"`kill -9` {plan.kills} times while {_RATE:,} events a second come",
    )
    text = f"{sender.acknowledged:,} acknowledged, {there:,} in the files that training reads"
    kept = min(there, sender.acknowledged)
    yield Row(fault, sender.acknowledged, "no acknowledged event is lost", kept, text)
    text = f"{len(ids) - there} more than once"
    yield Row(fault, len(ids), "each is there once", there, text)


def _seen_elsewhere(here: Program, there: Program, count: int) -> Row:
    """From the answer to an event until another process knows it."""
    writer, reader = Client(here.port), Client(there.port)
    took = []
    for number in range(count):
        event = an_event(number) | {"id": f"seen-{number}", "user_id": f"seen-{number}"}
        writer.ask("POST", "/events", json.dumps({"events": [event]}))
        started = time.perf_counter()
        while not json.loads(reader.ask("GET", f"/users/seen-{number}")[1])["history"]:
            if time.perf_counter() - started > 10:
                break
        took.append(time.perf_counter() - started)
    p50, p99 = (1000 * float(np.quantile(took, q)) for q in (0.5, 0.99))
    text = f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, at most {1000 * max(took):.0f} ms"
    return Row(
        "a user does something", count, "another process knows it in 100 ms",
        sum(seconds <= 0.1 for seconds in took), text,
    )  # fmt: skip


def _meanwhile(program: Program, seconds: float) -> Iterator[Row]:
    """One client asks one after another; meanwhile events come, or not, in turns."""
    context, sender = multiprocessing.get_context("spawn"), Sender()
    calm, busy = list[float](), list[float]()
    with ProcessPoolExecutor(1, context) as alone:
        for _ in range(_TURNS):
            calm += alone.submit(latencies, program.port, seconds / _TURNS, _ITEMS).result()
            stop = threading.Event()
            sending = threading.Thread(target=sender.run, args=(program.port, stop))
            measured = alone.submit(latencies, program.port, seconds / _TURNS, _ITEMS)
            sending.start()
            busy += measured.result()
            stop.set()
            sending.join()
    before, during = (1000 * float(np.quantile(times, 0.99)) for times in (calm, busy))
    fault, rate = f"{_RATE:,} events a second", sender.acknowledged / seconds
    text = f"{during:.1f} ms, {before:.1f} ms without: {during / before:.2f} times; "
    text += f"{rate:,.0f} events a second"
    yield of_one(fault, "p99 at most 1.3 times that without", during <= 1.3 * before, text)


def an_event(number: int) -> dict[str, object]:
    """One of some thousands of users, each time the same."""
    return {
        "id": f"e{number}",
        "type": "click",
        "user_id": f"user-{number * 7919 % _USERS}",
        "item_id": f"item-{number * 104_729 % _ITEMS}",
    }
