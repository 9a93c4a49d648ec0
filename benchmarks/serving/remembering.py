"""What the memory costs end to end: the same model and loads, with its lists and without."""

import json
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.memory_cost import drawn_memory
from benchmarks.serving import drawn_bundle
from benchmarks.serving.end_to_end import Plan, as_rows, ask_what_is_counted, measure, offer
from benchmarks.serving.rows import Row
from benchmarks.serving.servers import OURS, running

WHAT = "memory"
_ITEMS, _LISTED, _BODIES = 12_000, 200, 2000


def rows(plan: Plan) -> Iterator[Row]:
    """Throughput, latency and CPU of both; those with a memory beside those without."""
    memory = drawn_memory(_ITEMS, _LISTED, np.random.default_rng(0))
    alone = None
    with tempfile.TemporaryDirectory() as scratch:
        bodies = Path(scratch) / "bodies.json"
        bodies.write_text(json.dumps(drawn_bundle.bodies(_BODIES, _ITEMS)), encoding="utf-8")
        for name, kept in (("without a memory", None), ("with a memory", memory)):
            bundle = Path(scratch) / name
            drawn_bundle.write(bundle, drawn_bundle.DEFAULT, _ITEMS, memory=kept)
            with running(OURS, bundle) as port:
                offered = partial(offer, port, bodies, plan.seconds)
                measured = measure(offered, plan, partial(ask_what_is_counted, port))
            alone = alone or measured
            yield from as_rows(WHAT, name, measured, alone)
