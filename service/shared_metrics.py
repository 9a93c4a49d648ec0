"""Metrics of several workers: each writes files that all of them read, so that whichever is asked
answers for all.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric, ProcessCollector, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

_SHARED = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client's name for the folder of workers' files


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
