"""What one core of this machine can do, measured: the floor that everything is compared with."""

import time
from collections.abc import Callable, Mapping

import numpy as np

_BYTES = 2**28
_SIDE = 512
MATRIX_PRODUCTS = _SIDE**3


def cpu_ms(call: Callable[[], object], calls: int) -> float:
    """Milliseconds of CPU a call."""
    started = time.process_time()
    for _ in range(calls):
        call()
    return (time.process_time() - started) / calls * 1000


def interleaved(
    variants: Mapping[str, Callable[[], object]], calls: int, repetitions: int
) -> dict[str, float]:
    """Median CPU milliseconds of each, taking turns, so that noise meets all of them alike."""
    for call in variants.values():
        call()
    taken: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(repetitions):
        for name, call in variants.items():
            taken[name].append(cpu_ms(call, calls))
    return {name: float(np.median(values)) for name, values in taken.items()}


def matrix_product() -> Callable[[], object]:
    """A float32 product of ``MATRIX_PRODUCTS`` multiply-adds, of a size that a core is fast at."""
    one, other = np.random.default_rng(0).standard_normal((2, _SIDE, _SIDE)).astype(np.float32)
    return lambda: one @ other


def bytes_per_ms() -> float:
    """Bytes that are read from memory a millisecond: a product with itself, larger than a cache."""
    many = np.ones(_BYTES // 4, np.float32)
    return _BYTES / min(cpu_ms(lambda: many @ many, 1) for _ in range(5))
