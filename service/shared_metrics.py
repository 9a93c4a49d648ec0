"""Metrics of several workers: each writes files that all of them read, so that whichever is asked
answers for all.
"""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Metric, ProcessCollector, values
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

log = logging.getLogger("bbqrec")
_SHARED = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client's name for the folder of workers' files
_FIRST = 2**16  # bytes of a file
_MORE = 32  # bytes of a value beside its name, at most


@contextmanager
def sharing(directory: str) -> Iterator[None]:
    """Processes that are forked meanwhile write what they count to files there."""
    os.environ[_SHARED] = directory
    alone, values.ValueClass = values.ValueClass, values.get_value_class()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        del os.environ[_SHARED]
        values.ValueClass = alone


def shared_directory() -> Path | None:
    """Where workers leave files for each other; None where there is but one process."""
    shared = os.environ.get(_SHARED)
    return Path(shared) if shared else None


def exposed(own: CollectorRegistry) -> CollectorRegistry:
    """What is told, where this process writes to ``own``: of it alone, or of all workers."""
    shared = shared_directory()
    if shared is None:
        ProcessCollector(registry=own)
        return own
    together = CollectorRegistry()
    MultiProcessCollector(together, str(shared))  # type: ignore[no-untyped-call]
    together.register(_AllProcesses(shared))
    return together


def forget_worker(pid: int | None) -> None:
    """Of a worker that died counts are kept, and what only a live one has is not."""
    if pid is not None:
        mark_process_dead(pid)  # type: ignore[no-untyped-call]


class _Reserved(MmapedDict):
    """A file whose bytes the disk has given: where it is full, a write to a mapped file with holes
    ends the process. What finds no room is told once there is some.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._f: Any = None
        self._m: Any = None
        self._positions: dict[str, int] = {}
        self._used = self._capacity = 0
        self._full = False

    def read_value(self, key: str) -> tuple[float, float]:
        """Zero of what has no room."""
        return super().read_value(key) if self._has_room(key) else (0.0, 0.0)  # type: ignore

    def write_value(self, key: str, value: float, timestamp: float) -> None:
        """All that was counted, also while there was no room."""
        if self._has_room(key):
            super().write_value(key, value, timestamp)  # type: ignore[no-untyped-call]

    def _has_room(self, key: str) -> bool:
        if key in self._positions:
            return True
        try:
            self._make_room(len(key.encode()) + _MORE)
        except OSError as error:
            if not self._full:
                log.error("some metrics are not told for now: %s", error)
            self._full = True
            return False
        self._full = False
        return True

    def _make_room(self, more: int) -> None:
        if self._m is None:
            _reserve(self._path, _FIRST)
            super().__init__(self._path)  # type: ignore[no-untyped-call]
        size = self._capacity
        while size < self._used + more:
            size *= 2
        if size > self._capacity:
            _reserve(self._path, size)


def _reserve(path: str, size: int) -> None:
    """Raises OSError; then the file is what it was."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        before = os.fstat(file).st_size
        try:
            os.posix_fallocate(file, 0, size)
        except OSError:
            os.ftruncate(file, before)
            if not before:
                Path(path).unlink()
            raise
    finally:
        os.close(file)


values.MmapedDict = _Reserved  # type: ignore[attr-defined, assignment]


class _AllProcesses(Collector):
    """CPU, memory and files of all workers together; the start is the first one's."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def collect(self) -> Iterable[Metric]:
        """What ProcessCollector says of each live worker, as one."""
        # A worker that is gone has no such file any more: `forget_worker` took it away.
        pids = {int(path.stem.split("_")[-1]) for path in self.directory.glob("gauge_live*.db")}
        of_each = [ProcessCollector(pid=partial(int, pid), registry=None).collect() for pid in pids]
        # Of one that is just going there is nothing to read.
        together = zip(*filter(None, map(list, of_each)), strict=True)
        return [_combined(metrics) for metrics in together]


def _combined(metrics: Sequence[Metric]) -> Metric:
    """The sum over processes; of their starts the first."""
    first = metrics[0]
    combine = min if first.name.endswith("start_time_seconds") else sum
    value = combine(metric.samples[0].value for metric in metrics)
    first.samples = [first.samples[0]._replace(value=value)]
    return first
