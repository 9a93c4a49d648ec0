"""What the engine process does, in a thread of a test."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from service.engine.shared import SharedEngine


class Running:
    """A SharedEngine that takes connections of a listening socket, until it is ended."""

    def __init__(self, shared: SharedEngine, listener: socket.socket) -> None:
        self.shared = shared
        self.loop = uvloop.new_event_loop()
        self.taking = self.loop.create_task(shared.take(listener))
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

    def end(self) -> None:
        """As if its process had died."""
        if self.thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._end(), self.loop).result()
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join()
            self.loop.close()

    async def _end(self) -> None:
        self.taking.cancel()
        for connection in list(self.shared.connections):
            connection.transport.abort()
        while self.shared.connections:
            await asyncio.sleep(0.01)
        await self.loop.shutdown_default_executor()


@contextmanager
def listening() -> Iterator[tuple[socket.socket, Path]]:
    """A socket, and where it is: a path may not be long."""
    with TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        path = Path(folder) / "socket"
        listener.bind(str(path))
        listener.listen()
        yield listener, path


@contextmanager
def serving(shared: SharedEngine) -> Iterator[Path]:
    """Its socket."""
    with listening() as (listener, path):
        running = Running(shared, listener)
        try:
            yield path
        finally:
            running.end()
