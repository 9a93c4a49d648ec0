"""Work beside requests goes a step at a time: after each it rests, and requests catch up.

A bundle in one go takes a core for a tenth of a second, in every worker at once, and what comes
meanwhile waits for it (docs/benchmarks/serving-log.md).
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_RESTS = 3.0  # times as long as a step took
_LONGEST = 0.1  # seconds
_thread = threading.local()


@contextmanager
def paced() -> Iterator[None]:
    """What this thread does in it rests between its steps."""
    _thread.began = time.perf_counter()
    try:
        yield
    finally:
        del _thread.began


def rest() -> None:
    """A step is done. Nothing where the thread is not paced."""
    began = getattr(_thread, "began", None)
    if began is not None:
        time.sleep(min(_RESTS * (time.perf_counter() - began), _LONGEST))
        _thread.began = time.perf_counter()
