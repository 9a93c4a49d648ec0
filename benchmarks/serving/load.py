"""An open-loop load generator: requests leave when they are due, whether others came back or not.

    python -m benchmarks.serving.load PORT RATE SECONDS BODIES.json

Latency counts from when a request was due, as in wrk2: a server that stalls is not spared the
requests that its stalling held up. Prints one JSON line.
"""

import asyncio
import json
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

_CONNECTIONS = 64
_PATIENCE = 5.0  # seconds that are waited for answers after the last request was due


class Load(NamedTuple):
    """What came of it."""

    offered: float  # requests a second
    answered: float  # requests a second, with status 200, over the time until the last answer
    failed: int
    p50: float  # milliseconds, of what was answered
    p90: float
    p99: float
    p999: float
    late: float  # milliseconds, 99th percentile: how late the generator itself sent


class Connection(asyncio.Protocol):
    """One keep-alive connection, one request at a time."""

    def __init__(self, idle: Callable[["Connection"], None]) -> None:
        self.idle = idle
        self.received = b""
        self.due: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready to send."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def ask(self, request: bytes, due: float) -> None:
        """Send a request."""
        self.due, self.received = due, b""
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Collect an answer until it is whole."""
        self.received += data
        head, found, body = self.received.partition(b"\r\n\r\n")
        if found and len(body) >= _content_length(head):
            self.idle(self)

    def connection_lost(self, error: Exception | None) -> None:
        """A server that closes has failed whoever waits."""
        self.received = b""
        if self.due is not None:
            self.idle(self)


class Generator:
    """Sends bodies in turn at random times, ``rate`` a second on average (a Poisson process)."""

    def __init__(self, rate: float, seconds: float, requests: Sequence[bytes]) -> None:
        gaps = np.random.default_rng(0).exponential(1 / rate, int(rate * seconds))
        self.due = deque(np.cumsum(gaps).tolist())
        self.total = len(self.due)
        self.offered = self.total / self.due[-1]  # by chance a little more or less than ``rate``
        self.requests = requests
        self.free: deque[Connection] = deque()
        self.taken: list[float] = []
        self.late: list[float] = []
        self.failed = 0
        self.finished = asyncio.Event()

    async def run(self, port: int) -> Load:
        """Offer the load."""
        loop = asyncio.get_running_loop()
        connections: list[Connection] = []
        for _ in range(_CONNECTIONS):
            _, made = await loop.create_connection(
                lambda: Connection(self._idle), "127.0.0.1", port
            )
            connections.append(made)
        self.free += connections
        self.started = time.perf_counter()
        while self.due:
            self._send_due(sent_on_time=True)
            if self.due:  # late by up to a millisecond, but to wait awake would take a core
                await asyncio.sleep(max(0.0, self.due[0] - self._now()))
        try:
            await asyncio.wait_for(self.finished.wait(), _PATIENCE)
        except TimeoutError:
            self.failed = self.total - len(self.taken)
        load = self._summary(self._now())
        for connection in connections:
            connection.transport.close()
        await asyncio.sleep(0)  # closed in the loop's next turn
        return load

    def _now(self) -> float:
        return time.perf_counter() - self.started

    def _send_due(self, *, sent_on_time: bool) -> None:
        now = self._now()
        while self.due and self.due[0] <= now and self.free:
            due = self.due.popleft()
            if sent_on_time:
                self.late.append(now - due)
            self.free.popleft().ask(self.requests[len(self.due) % len(self.requests)], due)

    def _idle(self, connection: Connection) -> None:
        due, connection.due = connection.due, None
        if due is None:
            return
        if connection.received.startswith(b"HTTP/1.1 200"):
            self.taken.append(self._now() - due)
        else:
            self.failed += 1
        if connection.received:
            self.free.append(connection)
        self._send_due(sent_on_time=False)  # those were held up by the server, not by us
        if len(self.taken) + self.failed == self.total:
            self.finished.set()

    def _summary(self, seconds: float) -> Load:
        found = np.percentile(self.taken or [np.inf], [50, 90, 99, 99.9]) * 1000
        p50, p90, p99, p999 = found.tolist()
        late = float(np.percentile(self.late or [0.0], 99)) * 1000
        answered = len(self.taken) / seconds
        return Load(self.offered, answered, self.failed, p50, p90, p99, p999, late)


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def request(body: str | bytes) -> bytes:
    """A whole POST /recommend."""
    content = body.encode() if isinstance(body, str) else body
    head = (
        "POST /recommend HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


async def main(port: int, rate: float, seconds: float, bodies: Path) -> None:
    """Offer one load and print what came of it."""
    requests = [request(body) for body in json.loads(bodies.read_text(encoding="utf-8"))]
    print(json.dumps((await Generator(rate, seconds, requests).run(port))._asdict()))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4])))
