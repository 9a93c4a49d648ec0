"""Requests over HTTP: several front ends feed one engine. Load comes from other processes."""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from benchmarks.gpu.engine import drawn
from benchmarks.gpu.rows import Row, Where
from benchmarks.reliability.program import running
from benchmarks.serving import drawn_bundle
from benchmarks.serving.end_to_end import offer
from benchmarks.serving.load import Load

_RATE_GOAL, _P99_GOAL = 25_000, 10.0  # requests a second; ms at a share of what is reached
_SHARE, _SECONDS = 0.7, 4.0
_BODIES = 2_000


def http(where: Where) -> Iterator[Row]:
    """What is answered of more than can be, then how soon at a share of it."""
    cores = os.cpu_count() or 2
    callers = max(1, cores // 4)
    workers = max(2, cores - callers - 1)
    rate = 500.0 if where.small else 50_000.0
    bundle, bodies = drawn(where), where.scratch / "bodies"
    items = len(bundle.catalogue)
    bodies.write_text(json.dumps(drawn_bundle.bodies(_BODIES, items)), encoding="utf-8")
    options = ("--workers", str(workers), "--provider", "auto" if where.on_gpu else "cpu")
    size = f"{items:,} items, {workers} front ends, {callers} callers"
    with running(bundle.directory, *options, engine="shared") as program:

        def offered(rate: float) -> list[Load]:
            with ThreadPoolExecutor(callers) as pool:
                each = [
                    pool.submit(offer, program.port, bodies, _SECONDS, rate / callers)
                    for _ in range(callers)
                ]
                return [future.result() for future in each]

        reached = sum(load.answered for load in offered(rate))
        yield Row("over HTTP", size, reached, "requests a second", goal=_RATE_GOAL)
        slowest = max(load.p99 for load in offered(_SHARE * reached))
        told = f"{size}, {_SHARE:.0%} of that"
        yield Row("over HTTP, p99", told, slowest, "ms", goal=_P99_GOAL)
