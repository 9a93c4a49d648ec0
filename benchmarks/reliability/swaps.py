"""Swaps under load: what requests notice of them, and what is left of a hundred."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks.peers.environment import ROOT
from benchmarks.reliability.broken import BROKEN
from benchmarks.reliability.flood import Outcome
from benchmarks.reliability.overload import offer
from benchmarks.reliability.program import Program, running
from benchmarks.reliability.rows import Row, of_one
from benchmarks.serving import drawn_bundle
from models.contract.store import BundleStore

_ITEMS, _BODIES, _WORKERS = 12_000, 200, 2
_LOAD = 0.5  # of saturation
_LONG = 600.0  # seconds, longer than any load is needed
_PATIENCE = 30.0  # seconds for all workers to follow
_FAULT = "swaps under load, every tenth to a broken bundle"
_KILLED = "`current` moved while a worker is killed with -9"


class Plan(NamedTuple):
    """How thorough to be."""

    swaps: int = 100  # every tenth is of a broken bundle
    calm: float = 20.0  # seconds of saturation, and of the same load without swaps
    kills: int = 10


class Folder:
    """An output folder with two bundles that serve in turn, and broken ones."""

    def __init__(self, output: Path) -> None:
        self.store = BundleStore(output)
        for seed in (0, 1):
            with self.store.new() as partial:
                drawn_bundle.write(partial, drawn_bundle.DEFAULT, _ITEMS, seed)
        self.good = [stored.digest for stored in self.store.bundles()]
        self.broken = [self._spoiled(n, how) for n, how in enumerate(BROKEN)]

    def _spoiled(self, number: int, how: str) -> Path:
        source = self.store.root / self.good[0]
        target = Path(shutil.copytree(source, self.store.output / f"broken-{number}"))
        BROKEN[how](target)
        return target.resolve()


def rows(plan: Plan) -> Iterator[Row]:
    """The swaps, then the kills."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Folder(Path(scratch) / "output")
        folder.store.activate(folder.good[0])
        bodies, expected = Path(scratch) / "bodies.json", Path(scratch) / "expected.json"
        asked = drawn_bundle.bodies(_BODIES, _ITEMS)
        bodies.write_text(json.dumps(asked), encoding="utf-8")
        options = "--workers", str(_WORKERS), "--provider", "cpu"
        with running(folder.store.output, *options, watch="0.1") as program:
            answers = {digest: _answers(program, folder, digest, asked) for digest in folder.good}
            expected.write_text(json.dumps(answers), encoding="utf-8")
            yield from _swapped(program, folder, plan, bodies, expected)
            yield _killed(program, folder, plan.kills)


def _swapped(
    program: Program, folder: Folder, plan: Plan, bodies: Path, expected: Path
) -> Iterator[Row]:
    rate = _LOAD * offer(program, plan.calm, 0, "keep-alive", bodies).goodput
    before = _calm(program, rate, bodies, expected, plan.calm)
    memory: list[int] = []
    with _Load(program, rate, bodies, expected) as load:
        for swap in range(1, plan.swaps + 1):
            _swap(program, folder, swap)
            memory.append(program.memory())
    found, after = load.outcome, _calm(program, rate, bodies, expected, plan.calm)
    bad = found.failed + found.refused
    text = f"{found.failed} failed, {found.refused} refused, at {rate:.0f} a second"
    yield Row(_FAULT, found.sent, "no request fails", found.sent - bad, text)
    text = f"{load.mixed} of {found.answered} answers are not what their model gives alone"
    yield Row(
        _FAULT, found.answered, "no answer mixes two models", found.answered - load.mixed, text
    )
    ratio = 2 * found.p99 / (before.p99 + after.p99)
    text = f"{found.p99:.1f} ms, {before.p99:.1f} before, {after.p99:.1f} after: {ratio:.2f} times"
    yield of_one(_FAULT, "p99 at most 1.5 times that without", ratio <= 1.5, text)
    tenth = plan.swaps // 10  # after any one swap, the generation before may be there still, or not
    early, late = median(memory[:tenth]), median(memory[-tenth:])
    text = f"{early / 2**20:.0f} MiB in the first {tenth}, {late / 2**20:.0f} MiB in the last"
    yield of_one(_FAULT, "memory within 10% of that after a tenth", late <= 1.1 * early, text)


def _calm(program: Program, rate: float, bodies: Path, expected: Path, seconds: float) -> Outcome:
    """The same load while nothing is swapped."""
    with _Load(program, rate, bodies, expected) as load:
        time.sleep(seconds)
    return load.outcome


def _swap(program: Program, folder: Folder, number: int) -> None:
    """To the other bundle; every tenth to a broken one, and the next back to a good one."""
    if number % 10 == 0:
        folder.store.point("current", folder.broken[number // 10 % len(folder.broken)])
        _wait(program, lambda workers: all(worker["failures"] for worker in workers))
    else:
        digest = folder.good[number % 2]
        folder.store.activate(digest)
        _wait(program, lambda workers: all(_serves(worker, digest) for worker in workers))


def _killed(program: Program, folder: Folder, kills: int) -> Row:
    """Both at once: the one that replaces it must not serve what was, nor fail."""
    took = []
    for number in range(kills):
        digest = folder.good[number % 2]
        os.kill(workers_of(program)[0]["pid"], signal.SIGKILL)
        folder.store.activate(digest)
        started = time.monotonic()
        _wait(program, lambda workers, wanted=digest: all(_serves(w, wanted) for w in workers))
        took.append(time.monotonic() - started)
    in_time = sum(seconds <= 5 for seconds in took)
    text = f"{max(took):.1f} s at most"
    return Row(_KILLED, kills, "all workers serve the same digest within 5 s", in_time, text)


def _serves(worker: dict[str, Any], digest: str) -> bool:
    return bool(worker["serves"].get("current") == digest) and not worker["failures"]


def _wait(program: Program, holds: Any) -> None:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        try:
            workers = workers_of(program)
        except (OSError, http.client.HTTPException):
            workers = []
        if len(workers) == _WORKERS and holds(workers):
            return
        time.sleep(0.05)
    raise RuntimeError(f"workers did not follow within {_PATIENCE:g} s: {workers}")


def workers_of(program: Program) -> list[dict[str, Any]]:
    """What ``/model`` says of each."""
    answer = ask(program.port, "GET", "/model")
    return list(answer.get("workers", []))


def ask(port: int, method: str, path: str, body: str | None = None) -> dict[str, Any]:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, {"content-type": "application/json"})
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
        return answer
    finally:
        connection.close()


def _answers(program: Program, folder: Folder, digest: str, asked: list[str]) -> list[list[str]]:
    """What a bundle answers when nothing else goes on."""
    folder.store.activate(digest)
    _wait(program, lambda workers: all(_serves(worker, digest) for worker in workers))
    found = [ask(program.port, "POST", "/recommend", body) for body in asked]
    return [[item["item_id"] for item in answer["items"]] for answer in found]


class _Load:
    """A calm, checked load in a process of its own, until the block ends."""

    outcome: Outcome
    mixed: int

    def __init__(self, program: Program, rate: float, bodies: Path, expected: Path) -> None:
        module = [sys.executable, "-m", "benchmarks.reliability.checked", str(program.port)]
        arguments = [str(_LONG), str(rate), str(bodies), str(expected)]
        self.command = [*module, *arguments]

    def __enter__(self) -> "_Load":
        self.process = subprocess.Popen(
            self.command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if error is not None:
            self.process.kill()
        said = self.process.communicate("stop\n")[0]
        if error is None:
            found = json.loads(said)
            self.outcome, self.mixed = Outcome(**found["outcome"]), found["mixed"]
