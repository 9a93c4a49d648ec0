"""Several processes behind one socket, each with a model of its own, and one set of metrics.

uvicorn has a supervisor too, but it runs uvicorn's own server, which does not drain, and knows
nothing of a bundle that cannot be served. Pages of the bundle's tables are shared: every worker
maps the same files.
"""

import logging
import multiprocessing
import os
import signal
import socket
import tempfile
import threading
import time
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event
from types import FrameType
from typing import NamedTuple

from service.metrics import SHARED, forget_worker
from service.process.faults import exit_clearly
from service.process.server import serve, start_logging, where
from service.settings import Settings

log = logging.getLogger("bbqrec")
_spawn = multiprocessing.get_context("spawn")  # a fork would copy threads' locks, and no threads
_LOOK = 0.2  # seconds between looks at the workers
_GRACE = 5.0  # seconds that a worker may take to stop, beyond its drain and deadline
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0  # seconds until a worker that died is replaced


class Worker(NamedTuple):
    """One process, and whether it has answered yet."""

    process: SpawnProcess
    ready: Event


class Workers:
    """Starts ``settings.workers`` processes, replaces one that dies, stops them all together."""

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        self.settings = settings
        self.listener = listener
        self.workers: list[Worker] = []
        self.stopping: int | None = None  # the signal that asked for it
        self.pause = _FIRST_PAUSE

    def run(self) -> int:
        """Serve until a signal; the exit status: 1 where the first worker could not serve."""
        for sig in (signal.SIGINT, signal.SIGTERM):
            signal.signal(sig, self._on_signal)
        with tempfile.TemporaryDirectory(prefix="bbqrec-metrics-") as directory:
            os.environ[SHARED] = directory  # read by prometheus_client when a worker imports it
            try:
                # The first alone: a bundle that cannot be served is said once.
                if not self._started(self._start()):
                    return 0 if self.stopping else 1
                others = [self._start() for _ in range(self.settings.workers - 1)]
                for worker in others:
                    self._started(worker)  # one that cannot, where the first could, is replaced
                log.info("ready on %s, %d workers", where(self.listener), self.settings.workers)
                while not self.stopping:
                    self._replace_dead()
            finally:
                self._stop()
                del os.environ[SHARED]
        return 0

    def _start(self) -> Worker:
        ready = _spawn.Event()
        process = _spawn.Process(target=work, args=(self.settings, self.listener, ready))
        process.start()
        worker = Worker(process, ready)
        self.workers.append(worker)
        return worker

    def _started(self, worker: Worker) -> bool:
        while not self.stopping and not worker.ready.wait(_LOOK):
            if not worker.process.is_alive():
                return False
        return not self.stopping

    def _replace_dead(self) -> None:
        """Wait a little; whoever has died meanwhile is replaced, later if none ever got ready."""
        if not wait([worker.process.sentinel for worker in self.workers], timeout=_LOOK):
            return
        for worker in [w for w in self.workers if not w.process.is_alive()]:
            self.workers.remove(worker)
            if self.stopping:
                continue
            longer = min(2 * self.pause, _LONGEST_PAUSE)
            self.pause = _FIRST_PAUSE if worker.ready.is_set() else longer
            code, pid = worker.process.exitcode, worker.process.pid
            log.warning("worker %s died with status %s, another in %gs", pid, code, self.pause)
            forget_worker(pid)
            self._wait(self.pause)
            if not self.stopping:
                self._start()

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self.stopping and time.monotonic() < until:
            time.sleep(_LOOK)

    def _stop(self) -> None:
        until = time.monotonic() + self.settings.drain + self.settings.deadline + _GRACE
        for worker in self.workers:
            self._tell(worker, signal.SIGTERM)
        for worker in self.workers:
            worker.process.join(max(0.0, until - time.monotonic()))
            if worker.process.is_alive():
                log.warning("worker %s does not stop: killed", worker.process.pid)
                worker.process.kill()
                worker.process.join()

    def _on_signal(self, sig: int, frame: FrameType | None) -> None:
        if self.stopping:  # once more: they drain, and a Ctrl+C has them not wait
            for worker in self.workers:
                self._tell(worker, sig)
        self.stopping = sig

    def _tell(self, worker: Worker, sig: int) -> None:
        if worker.process.is_alive() and worker.process.pid is not None:
            os.kill(worker.process.pid, sig)


def work(settings: Settings, listener: socket.socket, ready: Event) -> None:
    """What a worker runs."""
    os.setpgrp()  # a Ctrl+C is for the parent, which tells its workers
    start_logging()
    _stop_with_parent()
    with exit_clearly():
        serve(settings, listener, ready.set)


def _stop_with_parent() -> None:
    """A parent that was killed outright could not stop its workers: they stop by themselves."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True, name="bbqrec-parent").start()
