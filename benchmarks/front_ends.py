"""``python -m benchmarks.front_ends``: what it costs that workers share an engine, in one run.

First the socket: CPU of both ends for a batch that the engine process answers at once, beside what
the engine itself takes for it. Then what one worker and two answer, with models of their own and
with one in a process beside them: of a calm load how soon, and how much of one that is too much. On
a CPU two gain nothing by it; one does where it has a second core, for who computes then does not
wait for the interpreter that reads requests. On a GPU it is one model in place of several.
"""

import asyncio
import json
import multiprocessing
import socket
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.reliability.program import running
from benchmarks.serving import drawn_bundle
from benchmarks.serving.end_to_end import offer
from models.contract.bundle import Bundle
from models.contract.types import ItemCodes
from service.engine.choose import make_engine
from service.engine.engine import Answered, Engine
from service.engine.feeds import History
from service.engine.remote import RemoteEngine
from service.engine.shared import SharedEngine
from service.retrieval.live import CurrentLive, nothing_lives
from service.retrieval.retriever import Found
from service.retrieval.selection import Selection
from service.settings import Settings

_ITEMS, _K, _BATCHES, _MAX_BATCH = 12_000, 10, (1, 32), 32
_CALLS = 2000  # of a lone request; of more, so many fewer
_BODIES, _TURNS, _SECONDS, _WORKERS = 2000, 3, 2.0, (1, 2)


class AtOnce:
    """An engine that knows its answer."""

    provider = retriever = "none"

    def candidates(
        self, histories: Sequence[History], k: Sequence[int], selections: Sequence[Selection]
    ) -> Answered:
        """The same for all."""
        shape = len(histories), max(k)
        found = Found(np.zeros(shape, np.float32), np.zeros(shape, np.int64))
        return Answered(found, 0.0, 0.0, np.empty((len(histories), 0), np.float32))


def main(
    rate: Annotated[float, typer.Option(help="Requests a second over HTTP; 0: none.")] = 5000.0,
    calm: Annotated[float, typer.Option(help="The same, of a calm load.")] = 300.0,
) -> None:
    """Print two tables."""
    with tempfile.TemporaryDirectory() as scratch:
        bundle = drawn_bundle.write(Path(scratch) / "bundle", drawn_bundle.DEFAULT, _ITEMS)
        Console().print(across(bundle, Path(scratch) / "socket"))
        if rate:
            Console().print(over_http(bundle.directory, Path(scratch) / "bodies", calm, rate))


def across(bundle: Bundle, path: Path) -> Table:
    """Microseconds of CPU."""
    titles = "batch", "worker", "engine process", "a request", "engine itself, a request", "ratio"
    table = Table(*titles, title="µs of CPU that the socket adds")
    own = make_engine(bundle, Settings(bundle=bundle.directory, provider="cpu"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        process = multiprocessing.get_context("spawn").Process(target=_serve, args=(listener,))
        process.start()
        live = nothing_lives(*bundle.item_vectors_ND.shape)
        remote = RemoteEngine(path, bundle, 1, live)
        assert process.pid is not None
        for size in _BATCHES:
            here, there = _cpu(remote, bundle, size, process.pid)
            itself, _ = _cpu(own, bundle, size, process.pid)
            added = (here + there) / size
            figures = here, there, added, itself / size
            ratio = f"{added / (itself / size):.2f}"
            table.add_row(str(size), *(f"{figure:.0f}" for figure in figures), ratio)
        process.kill()
        process.join()
    return table


def over_http(bundle: Path, bodies: Path, calm: float, rate: float) -> Table:
    """What they answer: both services of as many workers are there, and take turns."""
    bodies.write_text(json.dumps(drawn_bundle.bodies(_BODIES, _ITEMS)), encoding="utf-8")
    table = Table(
        *("workers", "model", f"p50 ms at {calm:.0f}/s", "ratio", "answered/s", "ratio"),
        title=f"over HTTP; answered of {rate:.0f} requests/s",
    )
    for workers in _WORKERS:
        found = {
            engine: np.median(loads, 0)
            for engine, loads in _turns(bundle, bodies, workers, (calm, rate)).items()
        }
        for engine, (p50, answered) in found.items():
            ratios = found[engine] / found["own"]
            figures = f"{p50:.1f}", f"{ratios[0]:.2f}", f"{answered:.0f}", f"{ratios[1]:.2f}"
            table.add_row(str(workers), engine, *figures)
    return table


def _turns(
    bundle: Path, bodies: Path, workers: int, rates: tuple[float, float]
) -> dict[str, list[tuple[float, float]]]:
    """By engine, of each turn: p50 (ms) of the calm load, and what was answered of the other."""
    found: dict[str, list[tuple[float, float]]] = {"own": [], "shared": []}
    options = "--workers", str(workers), "--provider", "cpu"
    with ExitStack() as stack:
        services = {
            engine: stack.enter_context(running(bundle, *options, engine=engine))
            for engine in found
        }
        for _ in range(_TURNS):
            for engine, program in services.items():
                calm, much = (offer(program.port, bodies, _SECONDS, rate) for rate in rates)
                found[engine].append((calm.p50, much.answered))
    return found


def _cpu(engine: Engine, bundle: Bundle, size: int, other: int) -> tuple[float, float]:
    """Of a batch, in microseconds: of this process and of another."""
    random, codes_NS = np.random.default_rng(0), bundle.semantic_ids.codes_NS
    lengths = drawn_bundle.lengths(size)
    rows = [random.integers(0, _ITEMS, length).tolist() for length in lengths]
    histories = [[ItemCodes(row, codes_NS[row]) for row in each] for each in rows]
    asked = histories, [_K] * size, [Selection(np.unique(each)) for each in rows]
    calls = _CALLS // size
    for _ in range(10):
        engine.candidates(*asked)
    here, there = time.process_time(), _cpu_of(other)
    for _ in range(calls):
        engine.candidates(*asked)
    took = time.process_time() - here, _cpu_of(other) - there
    return 1e6 * took[0] / calls, 1e6 * took[1] / calls


def _cpu_of(pid: int) -> float:
    """Seconds of a process: the clock that Linux has of each (clock_getcpuclockid)."""
    return time.clock_gettime((~pid << 3) | 2)


def _serve(listener: socket.socket) -> None:
    import uvloop

    def make(bundle: Bundle, live: CurrentLive) -> Engine:
        return AtOnce()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(SharedEngine(make, _MAX_BATCH).take(listener))


if __name__ == "__main__":
    typer.run(main)
