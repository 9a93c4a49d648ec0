"""``python -m benchmarks.events_cost``: what hearing what users do costs a recommendation.

The real program, asked one after another; its CPU time a request, beside what it takes when no
answer is kept and nothing is counted, all in one run, in turns.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.memory_cost import drawn_memory
from benchmarks.reliability.client import Client
from benchmarks.reliability.events import an_event
from benchmarks.reliability.program import Program, running
from benchmarks.serving import drawn_bundle

_ITEMS, _TURNS, _EVENTS = 12_000, 5, 40_000
_PLAIN = {"impressions": "0", "live_memory": "false", "store_every": "0"}
_KINDS: Mapping[str, Mapping[str, str]] = {
    "nothing is kept or counted": _PLAIN,
    "followers are counted": _PLAIN | {"live_memory": "true"},
    "answers are kept": _PLAIN | {"impressions": "1"},
    "as by default": {},
}


def main(requests: Annotated[int, typer.Option(help="A turn.")] = 2000) -> None:
    """Print one row a setting."""
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        bundle = Path(scratch) / "bundle"
        memory = drawn_memory(_ITEMS, 200, np.random.default_rng(0))
        drawn_bundle.write(bundle, drawn_bundle.DEFAULT, _ITEMS, memory=memory)
        programs = {
            name: stack.enter_context(running(bundle, events=f"{scratch}/{at}", **settings))
            for at, (name, settings) in enumerate(_KINDS.items())
        }
        took = dict.fromkeys(programs, 0.0)
        bodies = drawn_bundle.bodies(500, _ITEMS)
        for program in programs.values():
            _tell(program)
            _ask(program, bodies, 200)
        for _ in range(_TURNS):
            for name, program in programs.items():
                before = _cpu(program)
                _ask(program, bodies, requests)
                took[name] += _cpu(program) - before
    table = Table("", "CPU ms a request", "times", title=f"{_ITEMS:,} items")
    plain = took[next(iter(_KINDS))]
    for name, seconds in took.items():
        each = 1000 * seconds / requests / _TURNS
        table.add_row(name, f"{each:.3f}", f"{seconds / plain:.2f}")
    Console().print(table)


def _tell(program: Program) -> None:
    """So much that most items have followers."""
    client = Client(program.port)
    for first in range(0, _EVENTS, 500):
        events = [an_event(first + n) for n in range(500)]
        client.ask("POST", "/events", json.dumps({"events": events}))


def _ask(program: Program, bodies: list[str], count: int) -> None:
    client = Client(program.port)
    for number in range(count):
        client.ask("POST", "/recommend", bodies[number % len(bodies)])


def _cpu(program: Program) -> float:
    """Seconds that it has used, threads included."""
    stat = Path(f"/proc/{program.process.pid}/stat").read_text(encoding="ascii")
    user, system = stat.rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / float(os.sysconf("SC_CLK_TCK"))


if __name__ == "__main__":
    typer.run(main)
