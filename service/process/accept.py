"""Takes connections from the listening socket, no more of them than the other workers have.

uvloop takes all that wait at once: whichever worker woke up first had every keep-alive connection.
"""

import asyncio
import ctypes
import errno
import logging
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

from service.process.gate import Gate
from service.process.refusals import ANSWERS, Refusal

_BACKLOG = 2048
_AT_ONCE = 512  # connections taken in one turn of the event loop, most of them to be turned away
_SILENT = 1  # seconds until a connection that says nothing is taken all the same
_FIRST = 2**14  # bytes; what is longer is read by its connection
_COURTESY = 0.002  # seconds that a lighter worker has to take what waits
_PATIENCE = 0.05  # seconds between looks of a worker without a model, while others have theirs
_NO_FILES = 0.5  # seconds until another try, where the process may open no more files
_SO_ATTACH_FILTER = 26
# Classic BPF over a TCP header: flags (byte 13); SYN set: drop; else pass.
_DROP_SYN = ((0x30, 0, 0, 13), (0x45, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))
log = logging.getLogger("bbqrec")


class Acceptor:
    """A listening socket, its connections handed to protocols that ``factory`` makes."""

    def __init__(
        self, listener: socket.socket, factory: Callable[[bytes], asyncio.Protocol], gate: Gate
    ) -> None:
        self.listener = listener
        self.factory = factory
        self.gate = gate
        self.slot = gate.slot
        self.loop = asyncio.get_running_loop()
        self.opening: set[asyncio.Task[object]] = set()
        self.left = 1
        self.pausing: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Take connections from now on."""
        self.listener.setblocking(False)
        # Those it accepts inherit it: an answer's head and body must not wait for each other.
        self.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._defer(_SILENT)
        self.listener.listen(_BACKLOG)
        self._resume()

    def drain(self) -> None:
        """Take those that have said nothing yet, too: whatever they will ask is to be answered."""
        self._defer(0)

    def close(self) -> None:
        """Take what waits still, then no more."""
        self.loop.remove_reader(self.listener)
        if self.pausing is not None:
            self.pausing.cancel()
        while self._take():
            pass
        self.listener.close()

    async def wait_closed(self) -> None:
        """For uvicorn, which waits for its own servers."""

    def _defer(self, seconds: int) -> None:
        """Linux shows a connection when a request is there: it costs nothing until then, and who
        is refused is refused at once.
        """
        if option := getattr(socket, "TCP_DEFER_ACCEPT", None):
            self.listener.setsockopt(socket.IPPROTO_TCP, option, seconds)

    def _resume(self) -> None:
        self.loop.add_reader(self.listener, self._take_fair_share)

    def _take_fair_share(self) -> None:
        """As long as no other has fewer; what is left is another's for a moment, then anybody's."""
        if self.slot.yields():
            self._pause(_PATIENCE, self._resume)
            return
        for _ in range(_AT_ONCE):
            if self.slot.surplus() > 0:
                self._pause(_COURTESY, self._take_what_is_left)
                return
            self.left = 1
            if not self._take():
                return

    def _take_what_is_left(self) -> None:
        """Twice as many each time in turn: perhaps the other has no time at all."""
        self._resume()
        for _ in range(self.left):
            if not self._take():
                break
        self.left = min(2 * self.left, _AT_ONCE)

    def _pause(self, seconds: float, then: Callable[[], None]) -> None:
        self.loop.remove_reader(self.listener)
        self.pausing = self.loop.call_later(seconds, then)

    def _take(self) -> bool:
        """One, unless it is turned away. False where none is left."""
        if (connection := self._accept()) is None:
            return False
        first = _received(connection)
        if self._turned_away(connection, first):
            return True
        self.slot.connections += 1
        self.gate.coming += 1
        opening = self.loop.create_task(self._open(connection, first))
        self.opening.add(opening)
        opening.add_done_callback(self.opening.discard)
        return True

    def _accept(self) -> socket.socket | None:
        try:
            return self.listener.accept()[0]
        except (BlockingIOError, ConnectionAbortedError):
            return None
        except OSError as error:
            if error.errno not in {errno.EMFILE, errno.ENFILE}:
                raise
            log.warning("no connection can be taken: %s", error.strerror)
            self._pause(_NO_FILES, self._resume)
            return None

    def _turned_away(self, connection: socket.socket, first: bytes) -> bool:
        """A request that came whole and would be refused needs no connection made for it."""
        if self.gate.turns_away(first) is None:
            return False
        with connection, suppress(OSError):  # gone already
            connection.send(ANSWERS[Refusal.OVERLOAD].closed, socket.MSG_DONTWAIT)
        return True

    async def _open(self, connection: socket.socket, first: bytes) -> None:
        connection.setblocking(False)
        try:
            await self.loop.connect_accepted_socket(lambda: self.factory(first), connection)
        except OSError:  # gone already
            self.slot.connections -= 1
            self.gate.coming -= 1
            connection.close()


def _received(connection: socket.socket) -> bytes:
    """What is there already. Nothing, too, where it is gone: its protocol will see that."""
    try:
        return connection.recv(_FIRST, socket.MSG_DONTWAIT)
    except OSError:
        return b""


def refuse_new(listener: socket.socket) -> None:
    """No connection begins any more; those that have begun are completed.

    Closing a listening socket resets what lies in its queue. Where connections go on coming, that
    is somebody's request: so the door is shut first, then the queue emptied, then the socket
    closed. Shut for every process that holds the socket. Linux only; elsewhere does nothing.
    """
    code = b"".join(struct.pack("HBBI", *line) for line in _DROP_SYN)
    held = ctypes.create_string_buffer(code, len(code))  # alive until the kernel has copied it
    program = struct.pack("HL", len(_DROP_SYN), ctypes.addressof(held))
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
    except OSError as error:
        log.debug("connections of the last moment may be reset: %s", error)
