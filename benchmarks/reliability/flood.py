"""More requests than a service can answer, and what becomes of each.

    python -m benchmarks.reliability.flood PORT SECONDS RATE KIND BODIES.json

RATE: requests a second, sent when they are due, whether others came back or not; 0: 64 clients ask
as fast as they are answered, which is what saturation means here. KIND: ``keep-alive``, or ``new``
for a connection of its own for each request. Prints one JSON line.
"""

import asyncio
import errno
import json
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import uvloop

from benchmarks.serving.load import Connection, request

KINDS = ("keep-alive", "new")
_CLIENTS = 64
_KEPT = 1024  # keep-alive connections that a flood comes over
_OURS = (errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL)  # errors of whoever connects
_HOSTS = 200  # of this machine, in turn: to look for a free port takes long where few are left
_BIND_ADDRESS_NO_PORT = 24  # Linux: the port is chosen when it connects; in `socket` from 3.12 on
_PATIENCE = 6.0  # seconds that are waited for answers: longer than the service's deadline


class Outcome(NamedTuple):
    """What came of it. Times in milliseconds, from when a request was sent."""

    sent: int
    answered: int  # with 200
    goodput: float  # of those, a second
    refused: int  # 503 with Retry-After
    failed: int  # anything else: a reset, no answer, a 503 without Retry-After
    unsent: int  # for want of a port or a file here
    p50: float
    p99: float
    refused_p50: float
    refused_p99: float
    late: float  # 99th percentile of how late the generator itself sent
    cores: float  # that the generator took meanwhile, from a machine that it shares


class Asked(Connection):
    """Remembers when it asked."""

    sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready to send."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class

    def ask(self, request: bytes, due: float) -> None:
        """Send a request."""
        self.sent = time.perf_counter()
        super().ask(request, due)

    def close(self) -> None:
        """It is not asked again."""
        self.transport.close()


class Once(Asked):
    """Asks over a socket of its own, once. An event loop's connection would cost the machine that
    is shared more than the service needs to refuse it.
    """

    def __init__(self, idle: Callable[[Connection], None], host: str, port: int) -> None:
        super().__init__(idle)
        self.host, self.port = host, port
        self.loop = asyncio.get_running_loop()

    def ask(self, request: bytes, due: float) -> None:
        """Connect and send. Raises OSError where there is no socket, port or server to be had."""
        self.due, self.request, self.sent = due, request, time.perf_counter()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            self.socket.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
            self.socket.bind((self.host, 0))
            self.socket.connect_ex(("127.0.0.1", self.port))
            self.socket.send(request)  # who is on the same machine is connected already
        except BlockingIOError:  # unless too many wait to be
            self.loop.add_writer(self.socket, self._connected)
        except OSError:
            self.socket.close()
            raise
        else:
            self.loop.add_reader(self.socket, self._readable)

    def close(self) -> None:
        """It is not asked again."""
        self.loop.remove_reader(self.socket)
        self.socket.close()

    def _connected(self) -> None:
        self.loop.remove_writer(self.socket)
        self.loop.add_reader(self.socket, self._readable)
        try:
            self.socket.send(self.request)
        except OSError as error:
            self.connection_lost(error)

    def _readable(self) -> None:
        try:
            data = self.socket.recv(2**16)
        except OSError:
            data = b""
        if data:
            self.data_received(data)
        else:
            self.connection_lost(None)


class Flood:
    """Sends requests in turn over kept or over new connections, and books what comes back."""

    def __init__(self, port: int, requests: Sequence[bytes], *, fresh: bool) -> None:
        self.port = port
        self.requests = requests
        self.fresh = fresh
        self.free: deque[Asked] = deque()
        self.tasks: set[asyncio.Task[None]] = set()
        self.sent = self.waiting = self.failed = self.unsent = 0
        self.until = 0.0  # clients ask again until then
        self.stopped = False  # before its time
        self.last = 0.0  # when the last answer came
        self.late: list[float] = []
        self.took: list[float] = []
        self.refused: list[float] = []

    async def clients(self, seconds: float) -> Outcome:
        """Each asks again as soon as it was answered."""
        self._begin()
        self.until = self.started + seconds
        for _ in range(_CLIENTS):
            self._start(self._ask_anew())
        await asyncio.sleep(seconds)
        return await self._outcome()

    async def flood(self, seconds: float, rate: float) -> Outcome:
        """Requests leave when they are due."""
        gaps = np.random.default_rng(0).exponential(1 / rate, int(rate * seconds))
        due = deque(np.cumsum(gaps).tolist())
        if not self.fresh:
            self.free += [await self._connect() for _ in range(_KEPT)]
        self._begin()
        while due and not self.stopped:
            now = time.perf_counter() - self.started
            while due and due[0] <= now:
                self.late.append(now - due.popleft())
                if self.free:
                    self._ask(self.free.popleft())
                else:
                    self._start(self._ask_anew())
            await asyncio.sleep(0.002)
        return await self._outcome()

    def _begin(self) -> None:
        self.started, self.spent = time.perf_counter(), time.process_time()

    async def _ask_anew(self) -> None:
        try:
            self._ask(await self._connect())
        except OSError as error:
            if error.errno in _OURS:
                self.unsent += 1
            else:
                self.sent += 1
                self.failed += 1

    async def _connect(self) -> Asked:
        if self.fresh:
            return Once(self._idle, f"127.0.0.{1 + self.sent % _HOSTS}", self.port)
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(lambda: Asked(self._idle), "127.0.0.1", self.port)
        return made

    def _ask(self, connection: Asked) -> None:
        connection.ask(self.requests[self.sent % len(self.requests)], 0.0)
        self.waiting += 1
        self.sent += 1

    def _idle(self, connection: Connection) -> None:
        """It was answered, or it broke."""
        assert isinstance(connection, Asked)
        if connection.due is None:
            return
        connection.due = None
        self.waiting -= 1
        self.last = time.perf_counter()
        self._book(connection)
        again = self.last < self.until
        if self.fresh or not connection.received or b"connection: close" in connection.received:
            connection.close()
            if again:
                self._start(self._ask_anew())
        elif again:
            self._ask(connection)
        else:
            self.free.append(connection)

    def _book(self, connection: Asked) -> None:
        took, answer = self.last - connection.sent, connection.received
        if answer.startswith(b"HTTP/1.1 200"):
            self.took.append(took)
        elif answer.startswith(b"HTTP/1.1 503") and b"retry-after" in answer:
            self.refused.append(took)
        else:
            self.failed += 1

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _outcome(self) -> Outcome:
        cores = (time.process_time() - self.spent) / (time.perf_counter() - self.started)
        until = time.perf_counter() + _PATIENCE
        while (self.waiting or self.tasks) and time.perf_counter() < until:
            await asyncio.sleep(0.05)
        goodput = len(self.took) / (self.last - self.started)
        failed = self.failed + self.waiting + len(self.tasks)
        p50, p99 = _levels(self.took)
        refused_p50, refused_p99 = _levels(self.refused)
        return Outcome(
            sent=self.sent,
            answered=len(self.took),
            goodput=goodput,
            refused=len(self.refused),
            failed=failed,
            unsent=self.unsent,
            p50=p50,
            p99=p99,
            refused_p50=refused_p50,
            refused_p99=refused_p99,
            late=_levels(self.late)[1],
            cores=cores,
        )


def _levels(seconds: Sequence[float]) -> list[float]:
    """Median and 99th percentile, in milliseconds."""
    found: list[float] = np.percentile(seconds or [0.0], [50, 99]).tolist()
    return [1000 * level for level in found]


async def main(port: int, seconds: float, rate: float, kind: str, bodies: Path) -> None:
    """Offer one load and print what came of it."""
    fresh = kind == "new"
    requests = [request(body) for body in json.loads(bodies.read_text(encoding="utf-8"))]
    if fresh:
        requests = [r.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) for r in requests]
    flood = Flood(port, requests, fresh=fresh)
    outcome = await (flood.flood(seconds, rate) if rate else flood.clients(seconds))
    print(json.dumps(outcome._asdict()))


if __name__ == "__main__":
    port, seconds, rate, kind, bodies = sys.argv[1:]
    uvloop.run(main(int(port), float(seconds), float(rate), kind, Path(bodies)))
