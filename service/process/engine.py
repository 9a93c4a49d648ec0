"""The engine process: one model for all workers, which ask it over a socket of this machine.

The socket is the supervisor's, and stays as long as it does: while the process is started anew,
workers that connect wait in the socket's queue.
"""

import asyncio
import logging
import signal
import socket
import time
from pathlib import Path

import uvicorn

from models.contract.bundle import Bundle
from service.engine.choose import warm_engine
from service.engine.engine import Engine
from service.engine.shared import SharedEngine
from service.process.attempts import Attempts
from service.process.child import Child, Pauses
from service.process.server import tune
from service.process.slots import Slot, slots
from service.retrieval.live import CurrentLive
from service.settings import Settings

log = logging.getLogger("bbqrec")
_BEAT = 0.1  # seconds
_BACKLOG = 512  # connections of workers that are not taken yet


class EngineProcess(Child):
    """It serves until it was told to stop, and until its last connection has closed."""

    def __init__(
        self,
        config: uvicorn.Config,
        listener: socket.socket,
        settings: Settings,
        slot: Slot,
        attempts: Attempts,
    ) -> None:
        self.settings = settings
        self.attempts = attempts
        super().__init__(config, listener, slot)

    def serve(self, listener: socket.socket) -> None:
        """In the process."""
        tune()  # a bundle is loaded in a thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # workers, which hear it, end it
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        shared = SharedEngine(self.make, self.settings.max_batch)
        with asyncio.Runner(loop_factory=self.config.get_loop_factory()) as runner:
            runner.run(serve_connections(shared, listener, self.slot))

    def make(self, bundle: Bundle, live: CurrentLive) -> Engine:
        """The engine of a bundle. It is warm: what there is no memory for shows now, if ever.

        Raises ProviderError where it cannot be, or where this process has died of it too often.
        """
        with self.attempts.attempt(bundle.directory):
            return warm_engine(bundle, self.settings, live)


async def serve_connections(shared: SharedEngine, listener: socket.socket, slot: Slot) -> None:
    """Until SIGTERM has come and nobody is connected. It is ready once it has loaded a bundle."""
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    taking = loop.create_task(shared.take(listener))
    while not (stopping.is_set() and not shared.connections):
        slot.beat()
        if shared.serves():
            slot.get_ready()
        await asyncio.wait({taking}, timeout=_BEAT)
        if taking.done():
            taking.result()  # nothing but a fault ends it
    taking.cancel()


class EngineKeeper:
    """Has an engine process run until it is closed, and another where that one dies.

    folder: of this service, for this user alone; its socket will be there.
    """

    def __init__(self, config: uvicorn.Config, settings: Settings, folder: Path) -> None:
        self.config = config
        self.settings = settings
        self.path = folder / "socket"
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(self.path))
        self.listener.listen(_BACKLOG)
        self.attempts = Attempts(folder)
        self.slot = slots(1)[0]
        self.pauses = Pauses()
        self.due = 0.0  # when the next is to be started, where none runs
        self.process: EngineProcess | None = None

    def start(self) -> None:
        """It begins. Raises OSError where the machine has no room for a process."""
        process = EngineProcess(self.config, self.listener, self.settings, self.slot, self.attempts)
        process.start()
        self.process = process

    def look(self) -> str | None:
        """At whether it runs and turns; why not, once, where it has died. Starts what is due."""
        if self.process is None:
            if time.monotonic() >= self.due:
                self._start_again()
            return None
        if (silent := self.slot.silent()) > self.settings.hang_timeout:
            log.warning("the engine process stands still for %.0fs: killed", silent)
            self.process.end()
        if self.process.process.is_alive():
            return None
        reason = f"the engine process died with status {self.process.exitcode}"
        self.process = None
        self.due = self.pauses.begin(self.slot, reason)
        return reason

    def stop(self, patience: float) -> None:
        """It ends when nobody is connected any more; after so many seconds it is killed."""
        if self.process is None:
            return
        self.process.tell(signal.SIGTERM)
        self.process.process.join(patience)
        if self.process.process.is_alive():
            log.warning("the engine process does not stop: killed")
            self.process.end()

    def close(self) -> None:
        """Nobody can connect any more. A process that runs still is killed."""
        if self.process is not None:
            self.process.end()
        self.listener.close()

    def _start_again(self) -> None:
        try:
            self.start()
        except OSError as error:  # the machine may have room for it later
            reason = f"the engine process cannot be started: {error}"
            self.due = self.pauses.begin(self.slot, reason)
