"""A worker's connection to the engine process: one for each bundle that it has in service.

Where it breaks, as it does when that process ends, a thread makes another, on which the same bundle
is opened again. Until then whoever asks is told at once.
"""

import contextlib
import logging
import select
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from service.engine.sets import Sender
from service.engine.wire import PIECE, Frame, FrameError, Incoming
from service.runtime import ProviderError

log = logging.getLogger("bbqrec")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0  # seconds between tries
_BROKEN = OSError, FrameError  # of a connection
MakeFrame = Callable[[Sender], Frame]


class EngineAwayError(Exception):
    """The engine process has ended, and is not there again."""


class Opened(NamedTuple):
    """What computes there."""

    provider: str
    retriever: str


class _Line:
    """A connection, and what both ends of it know."""

    def __init__(self, path: Path) -> None:
        self.sender = Sender()
        self.incoming = Incoming()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.path = path

    def packed(self, make: MakeFrame) -> bytes:
        """A frame as it is to be sent, for the other end knows then what it tells. Raises
        FrameError where it is too large.
        """
        with self.sender.telling():
            return make(self.sender).packed()

    def ask(self, packed: bytes) -> Frame:
        """One frame for one. Raises one of _BROKEN."""
        self.socket.sendall(packed)
        while piece := self.socket.recv(PIECE):
            if frames := self.incoming.feed(piece):
                return frames[0]
        raise ConnectionResetError("the engine process closed the connection")

    def open(self, directory: Path) -> Opened:
        """Have it load that bundle, however long that takes. Raises ProviderError where it cannot,
        and one of _BROKEN.
        """
        self.socket.connect(str(self.path))
        told = self.ask(Frame({"open": str(directory)}).packed()).header
        if "refused" in told:
            raise ProviderError(told["refused"])
        return Opened(told["provider"], told["retriever"])

    def wait_until_broken(self) -> None:
        """Whoever asks on it goes on meanwhile."""
        poll = select.poll()
        poll.register(self.socket, 0)  # of a hang-up one is told always
        poll.poll()

    def hang_up(self) -> None:
        """Whoever waits on it goes on; it is closed later, by who made it."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)


class Link:
    """To the engine process behind ``path``, with one bundle open."""

    def __init__(self, path: Path, directory: Path) -> None:
        self.path = path
        self.directory = directory
        self._asking = threading.Lock()
        self._closed = threading.Event()
        self._line = _Line(path)  # be it open, or being opened
        self._away = True
        try:
            self.opened = self._open()
        except _BROKEN as error:
            raise ProviderError(f"the engine process does not answer: {error}") from error
        threading.Thread(target=self._keep, daemon=True, name="bbqrec-link").start()

    @property
    def away(self) -> bool:
        """Whether nobody is there to ask."""
        return self._away

    def ask(self, make: MakeFrame) -> Frame:
        """The answer to a frame; one at a time. Raises EngineAwayError, and FrameError where the
        frame is too large to be sent.
        """
        with self._asking:
            if self._away:
                raise EngineAwayError("the engine process is being started again")
            packed = self._line.packed(make)
            try:
                return self._line.ask(packed)
            except BaseException as error:  # the ends may know different things of each other
                self._away = True
                self._line.hang_up()
                if isinstance(error, _BROKEN):
                    raise EngineAwayError("the engine process has gone") from error
                raise

    def close(self) -> None:
        """For ever; waits for nobody."""
        self._closed.set()
        self._line.hang_up()

    def _open(self) -> Opened:
        try:
            opened = self._line.open(self.directory)
        except BaseException:
            self._line.socket.close()
            raise
        self._away = False
        return opened

    def _keep(self) -> None:
        """In a thread, until it is closed."""
        while True:
            self._line.wait_until_broken()
            self._away = True
            with self._asking:
                self._line.socket.close()
            if not self._open_again():
                return

    def _open_again(self) -> bool:
        """False where nobody wants it any more."""
        pause = _FIRST_PAUSE
        while not self._closed.wait(pause):
            self._line = _Line(self.path)
            try:
                self._open()
            except (ProviderError, *_BROKEN) as error:
                log.warning("the engine process is away: %s", error)
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            if self._closed.is_set():  # meanwhile
                self._line.hang_up()
            else:
                log.info("the engine process is there again")
            return True
        return False
