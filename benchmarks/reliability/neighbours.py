"""What one client may do to the others: large bodies, large requests, and leaving."""

import json
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings

from benchmarks.reliability.bodies import Shape, shapes
from benchmarks.reliability.flood import Outcome
from benchmarks.reliability.overload import offer
from benchmarks.reliability.program import Program, running
from benchmarks.reliability.rows import Row, of_one
from benchmarks.serving import drawn_bundle
from benchmarks.serving.end_to_end import ask_what_is_counted
from benchmarks.serving.load import request

_ITEMS, _BODIES = 12_000, 2000
_LOAD = 0.5  # of saturation
_HEAVY = 20.0  # large requests a second
_LEAVERS = 500


class Plan(NamedTuple):
    """How thorough to be."""

    seconds: float = 60.0  # of the load with, and of that without
    calm: float = 10.0  # of saturation
    shapes: int = 1000


def rows(plan: Plan) -> Iterator[Row]:
    """Each neighbour beside the same calm load, and the same load alone."""
    with tempfile.TemporaryDirectory() as scratch:
        bundle, bodies = Path(scratch) / "bundle", Path(scratch) / "bodies.json"
        drawn_bundle.write(bundle, drawn_bundle.DEFAULT, _ITEMS)
        bodies.write_text(json.dumps(drawn_bundle.bodies(_BODIES, _ITEMS)), encoding="utf-8")
        large = drawn_bodies(plan.shapes)
        heavy = [request(body) for body in _heavy()]
        with running(bundle, "--provider", "cpu") as program:
            offer(program, 1.0, 0, "keep-alive", bodies)  # warm
            rate = _LOAD * offer(program, plan.calm, 0, "keep-alive", bodies).goodput
            neighbours: dict[str, tuple[Sequence[bytes], float]] = {
                f"one 1 MB body a second, of {plan.shapes:,} shapes": (large, 1.0),
                "k = 500 and 10,000 excluded ids, 20 a second": (heavy, _HEAVY),
            }
            for fault, (sent, pace) in neighbours.items():
                alone = offer(program, plan.seconds, rate, "keep-alive", bodies)
                with Sender(program, sent, pace) as sender:
                    beside = offer(program, plan.seconds, rate, "keep-alive", bodies)
                yield from _promises(fault, alone, beside, sender)
        with running(bundle, "--provider", "torch", max_wait="60", deadline="60") as program:
            yield leavers(program)


class Sender:
    """One client that sends the same requests again and again, until the block ends."""

    def __init__(self, program: Program, requests: Sequence[bytes], pace: float) -> None:
        self.port = program.port
        self.requests = requests
        self.pause = 1 / pace
        self.sent = self.answered = 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._send)

    def __enter__(self) -> "Sender":
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        self.thread.join()

    def _send(self) -> None:
        while not self.ended.wait(self.pause):
            with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
                connection.sendall(self.requests[self.sent % len(self.requests)])
                self.sent += 1
                self.answered += connection.recv(2**16).startswith(b"HTTP/1.1 ")


def drawn_bodies(count: int) -> list[bytes]:
    """Requests of so many shapes; drawn by hypothesis, the same every time."""
    found: list[bytes] = []

    @settings(
        max_examples=count,
        phases=[Phase.generate],
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(shapes())
    def draw(shape: Shape) -> None:
        found.append(request(shape.body()))

    draw()
    return found


def leavers(program: Program) -> Row:
    """Their requests wait in the queue when they leave: from then on none is computed."""
    long = json.dumps({"history": [f"item-{n}" for n in range(200)]})
    clients = [socket.create_connection(("127.0.0.1", program.port)) for _ in range(_LEAVERS)]
    before = ask_what_is_counted(program.port).requests
    for client in clients:
        client.sendall(request(long))
    time.sleep(0.1)
    for client in clients:
        client.close()
    time.sleep(0.3)  # the batch that was under way
    left = ask_what_is_counted(program.port).requests
    time.sleep(5.0)
    late = ask_what_is_counted(program.port).requests - left
    waiting = _LEAVERS - (left - before)
    text = f"{left - before:.0f} were computed before all had left, {late:.0f} later"
    promise = "nobody computes for who has left"
    return Row("500 requests whose clients leave", int(waiting), promise, int(waiting - late), text)


def _promises(fault: str, alone: Outcome, beside: Outcome, sender: Sender) -> Iterator[Row]:
    ratio = beside.p99 / alone.p99
    text = f"{beside.p99:.1f} ms, {alone.p99:.1f} ms without: {ratio:.2f} times"
    yield of_one(fault, "others' p99 at most 1.5 times that without", ratio <= 1.5, text)
    bad = beside.failed + beside.refused
    yield Row(fault, beside.sent, "no other request fails", beside.sent - bad, f"{bad} failed")
    text = f"{sender.answered} of {sender.sent} answered"
    yield Row(fault, sender.sent, "the neighbour is answered, too", sender.answered, text)


def _heavy() -> list[str]:
    random = np.random.default_rng(3)
    asked = []
    for _ in range(20):
        excluded = random.choice(_ITEMS, 10_000, replace=False)
        history = random.integers(0, _ITEMS, 20)
        asked.append(
            json.dumps(
                {
                    "history": [f"item-{n}" for n in history],
                    "k": 500,
                    "exclude": [f"item-{n}" for n in excluded],
                }
            )
        )
    return asked
