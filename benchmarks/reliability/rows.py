"""Rows of ``docs/benchmarks/reliability.json``: a promise, and whether it was kept."""

from typing import NamedTuple


class Row(NamedTuple):
    """One fault, tried so often, and what came of it."""

    fault: str
    tried: int
    promise: str
    kept: int  # of `tried`
    measured: str  # in words and figures
