"""Rows of ``docs/benchmarks/reliability.json``: a promise, and whether it was kept."""

from typing import NamedTuple


class Row(NamedTuple):
    """One fault, tried so often, and what came of it."""

    fault: str
    tried: int
    promise: str
    kept: int  # of `tried`
    measured: str  # in words and figures


def of_one(fault: str, promise: str, kept: bool, measured: str) -> Row:
    """A row of one trial."""
    return Row(fault, 1, promise, int(kept), measured)
