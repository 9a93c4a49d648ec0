"""A process that the supervisor starts, hears faults of, and sends signals to.

Without a GPU it is forked, not spawned as uvicorn's are: the supervisor has imported nearly all
that it needs and has no thread, so that a child begins at once and shares what was imported. (To
import onnxruntime starts a thread: each child does that for itself.)
"""

import logging
import multiprocessing
import os
import shutil
import signal
import socket
import sys
import threading
import time
from abc import abstractmethod
from multiprocessing.context import ForkProcess, SpawnProcess

import uvicorn
from uvicorn.supervisors.multiprocess import SIGNALS, Process

from service.engine.choose import has_gpu
from service.process.faults import FAULTS
from service.process.server import start_logging
from service.process.slots import Slot
from service.shared_metrics import shared_directory

log = logging.getLogger("bbqrec")
_SHORTEST, _LONGEST = 1.0, 30.0  # seconds until one that died before it was ready is replaced
_LOOK = 0.5  # seconds between looks at the parent
# Elsewhere libraries of the system do not bear a fork, nor does a driver that an import has woken.
_Process = ForkProcess if sys.platform == "linux" and not has_gpu() else SpawnProcess


class Child(Process):
    """One of them, with its place among what all know of each other."""

    def __init__(self, config: uvicorn.Config, listener: socket.socket, slot: Slot) -> None:
        self.slot = slot
        slot.clear()
        super().__init__(config, [listener])
        process = _Process(target=self.target, args=([listener],))
        self.process = process  # type: ignore[assignment]

    def start(self) -> None:
        """It begins. Raises OSError where the machine has no room for it."""
        # A signal that came between the two lines that fork and forget would be lost.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def target(self, sockets: list[socket.socket] | None = None) -> None:
        """What the process runs. A fault of set-up is told to the parent."""
        os.setpgrp()  # a Ctrl+C is for the parent, which tells its children
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)  # not the parent's
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        start_logging()
        _stop_with_parent()
        assert sockets
        try:
            self.serve(sockets[0])
        except FAULTS as error:
            self.child_conn.send(error)
            raise SystemExit(1) from None
        finally:
            _tidy_up()

    @abstractmethod
    def serve(self, listener: socket.socket) -> None:
        """In the process, until a signal. Raises one of FAULTS."""

    def fault(self) -> Exception | None:
        """What it could not be started for."""
        if not self.parent_conn.poll():
            return None
        error: Exception = self.parent_conn.recv()
        return error

    def tell(self, sig: int) -> None:
        """Send it a signal."""
        if self.process.is_alive() and self.pid is not None:
            os.kill(self.pid, sig)

    def end(self) -> None:
        """It does not stop by itself."""
        self.process.kill()
        self.process.join()


class Pauses:
    """How long to wait until one that died is replaced: not at all where it had got ready, else
    longer each time.
    """

    def __init__(self) -> None:
        self._last = 0.0

    def begin(self, slot: Slot, reason: str) -> float:
        """One in this slot died or could not be started: when another is due, by time.monotonic."""
        longer = min(max(_SHORTEST, 2 * self._last), _LONGEST)
        self._last = 0.0 if slot.ready else longer
        slot.clear()
        log.warning("%s; another in %gs", reason, self._last)
        return time.monotonic() + self._last


def _stop_with_parent() -> None:
    """A parent that was killed outright could not stop its children: they stop by themselves."""

    def watch() -> None:
        while not _orphaned():
            time.sleep(_LOOK)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True, name="bbqrec-parent").start()


def _tidy_up() -> None:
    """Nor could it remove what its children share; another of them may be doing so, too."""
    folder = shared_directory()
    if folder is not None and _orphaned():
        shutil.rmtree(folder, ignore_errors=True)


def _orphaned() -> bool:
    parent = multiprocessing.parent_process()
    return parent is not None and os.getppid() != parent.pid
