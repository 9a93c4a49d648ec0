"""A service that starts in a busy shop, which answered its users often for each thing they did.

The log is as large as it ever is: twice as many records as stay have come since it was trimmed.
"""

import json
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.reliability.client import Client
from benchmarks.reliability.events import an_event
from benchmarks.reliability.program import running
from benchmarks.reliability.rows import Row, of_one
from benchmarks.serving import drawn_bundle
from service.events.event_log import EVENT_LOG
from service.events.record import Event, Record, Shown
from service.events.store import open_store
from service.events.storing import Storing
from service.log.file_log import FileLog

_ITEMS, _SHOWN = 12_000, 10
_AT_ONCE = 1000  # events, and their answers
_FAULT = "a service starts, of a shop with {} answers an event"


class Plan(NamedTuple):
    """How thorough to be. keep: as many records stay in the log, and as many events."""

    events: int = 60_000
    answers: int = 20  # for each of them
    keep: int = 200_000
    asked: int = 500  # of the users, each of whom did one thing


def rows(plan: Plan) -> Iterator[Row]:
    """Until it is ready, and whom it knows then."""
    with tempfile.TemporaryDirectory() as scratch:
        bundle, folder = Path(scratch) / "bundle", Path(scratch) / "events"
        drawn_bundle.write(bundle, drawn_bundle.DEFAULT, _ITEMS)
        store = open_store(Storing(folder=folder, keep=plan.keep))
        _write(folder, 0, plan.events, plan.answers)
        store.run()
        store.close()
        since = (plan.keep - 1) // (1 + plan.answers)
        _write(folder, plan.events, plan.events + since, plan.answers)
        size = (folder / EVENT_LOG.file).stat().st_size
        started = time.perf_counter()
        with running(bundle, events=str(folder), store_every="0") as program:
            took = time.perf_counter() - started
            client = Client(program.port)
            users = random.Random(0).sample(range(plan.events), plan.asked)
            known = sum(_knows(client, user) for user in users)
    fault = _FAULT.format(plan.answers)
    text = f"{plan.events * (1 + plan.answers):,} records ago was the earliest of what they did"
    yield Row(fault, plan.asked, "its users are known", known, text)
    text = f"{took:.1f} s from start to ready, a log of {size / 2**20:.0f} MiB"
    yield of_one(fault, "ready in 15 s", took <= 15, text)


def _knows(client: Client, user: int) -> bool:
    return bool(json.loads(client.ask("GET", f"/users/user-{user}")[1])["history"])


def _write(folder: Path, first: int, last: int, answers: int) -> None:
    log, draw = FileLog(folder, EVENT_LOG), random.Random(first)
    for part in range(first, last, _AT_ONCE):
        records: list[Record] = []
        for number in range(part, min(part + _AT_ONCE, last)):
            records += (_answer(draw, number) for _ in range(answers))
            told = an_event(number) | {"user_id": f"user-{number}", "time": time.time()}
            records.append(Event(**told))  # type: ignore[arg-type]
        log.append(records)
    log.close()


def _answer(draw: random.Random, user: int) -> Shown:
    items = [f"item-{draw.randrange(_ITEMS)}" for _ in range(_SHOWN)]
    return Shown(f"{draw.getrandbits(96):024x}", items, time.time(), f"user-{user}", model="f" * 64)
