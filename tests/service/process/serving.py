"""The service's own server on a real socket, inside a test, with a fake scorer behind it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from models.contract.bundle import Bundle
from service.generation.follower import Load
from service.http.app import create_app
from service.metrics import Metrics
from service.process.server import DrainingServer, bind, make_server
from service.settings import Settings
from tests.service.fakes import FakeScorer, loader

PROBLEM = "application/problem+json"


class Answer:
    """A response, read off a socket."""

    def __init__(self, head: bytes, body: bytes) -> None:
        first, *lines = head.decode().split("\r\n")
        self.status = int(first.split()[1])
        self.headers = {n.lower(): v for n, v in (line.split(": ", 1) for line in lines)}
        self.body = body

    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One connection, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0)

    async def answer(self) -> Answer:
        async with asyncio.timeout(10):
            head = (await self.reader.readuntil(b"\r\n\r\n")).removesuffix(b"\r\n\r\n")
            answer = Answer(head, b"")
            answer.body = await self.reader.readexactly(int(answer.headers["content-length"]))
        return answer

    async def ask(self, *pieces: bytes) -> Answer:
        await self.send(*pieces)
        return await self.answer()

    async def ended(self) -> bool:
        """The server has closed it, with nothing more to say."""
        async with asyncio.timeout(10):
            return await self.reader.read() == b""


class Served:
    """A running server and its clients."""

    def __init__(self, server: DrainingServer, port: int) -> None:
        self.server = server
        self.port = port
        self.clients: list[Client] = []

    async def connect(self) -> Client:
        self.clients.append(Client(*await asyncio.open_connection("127.0.0.1", self.port)))
        return self.clients[-1]

    async def pass_time(self, seconds: float) -> None:
        """As its connections see it: the next sweep finds them so much older."""
        self.server.gate.now += int(seconds)

    async def stop(self) -> None:
        self.server.should_exit = True
        while hasattr(self.server, "beating") and not self.server.beating.done():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(
    tiny: Bundle, scorer: FakeScorer | None = None, load: Load | None = None, **given: Any
) -> AsyncIterator[Served]:
    """Start it; it is ready, unless ``load`` takes its time.

    Nothing stores its events: the process that does would take longer to start than a test runs.
    """
    settings = Settings(**{"bundle": tiny.directory, "drain": 0.0, "store_every": 0.0, **given})
    service = create_app(
        settings, load or loader(tiny, scorer or FakeScorer()), Metrics(), beside=True
    )
    listener = bind("127.0.0.1", 0)
    server = make_server(service, listener, lambda: None)
    running = asyncio.create_task(server.serve())
    served = Served(server, listener.getsockname()[1])
    try:
        while not (server.started and (load or server.gate.slot.ready)):
            await asyncio.sleep(0.01)
        yield served
    finally:
        for client in served.clients:
            client.writer.close()
        server.should_exit = True
        await running


def post(history: str = "item-1", headers: str = "") -> bytes:
    """A whole request."""
    body = json.dumps({"history": [history], "k": 2})
    return (
        f"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{headers}"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def post_to(path: str, body: object) -> bytes:
    """A request with a body of JSON."""
    text = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(text) + text


def get(path: str) -> bytes:
    """A whole request."""
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
