"""One process that serves: listens at once, loads the bundle meanwhile, drains when asked to stop.

What is left of uvicorn's server: its life cycle, its signals, its HTTP parser. Its listening socket
is `accept.Acceptor`, its connections are `protocol.Connection`.
"""

import asyncio
import gc
import logging
import math
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType

import uvicorn

from service.engine.remote import RemoteEngine
from service.generation.board import Board
from service.generation.load import MakeEngine, load_generation
from service.http.app import Service, create_app
from service.http.state import State
from service.metrics import Metrics
from service.process.accept import Acceptor, refuse_new
from service.process.gate import Gate
from service.process.protocol import Connection
from service.process.slots import Slot, slots
from service.settings import Settings
from service.shared_metrics import shared_directory

_SWITCH_AFTER = 0.0005  # seconds
_SELDOM = 1000  # collections of the younger ones
_BEAT, _BEATS_A_SWEEP = 0.25, 4  # seconds; a sweep a second
_LAST = 0.1  # seconds that a connection which has just begun has to send its request
log = logging.getLogger("bbqrec")


class DrainingServer(uvicorn.Server):
    """Turns /readyz to 503 first, and stops listening only after the load balancer has seen it.

    ``ready`` is called once a model is in service. ``alone``: nobody else listens on the socket.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        state: State,
        gate: Gate,
        listener: socket.socket,
        ready: Callable[[], object],
        *,
        alone: bool = True,
    ) -> None:
        super().__init__(config)
        self.state = state
        self.gate = gate
        self.listener = listener
        self.ready = ready
        self.alone = alone

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, whether a model is there or not."""
        await super().startup(sockets=[])
        loop = asyncio.get_running_loop()
        self.acceptor = Acceptor(self.listener, self._connection, self.gate)
        self.acceptor.start()
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        self.beating = loop.create_task(self._beat())

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: say so once it is ready; stop where it never will be."""
        if not self.gate.slot.ready and self.state.status() == "ok":
            self.gate.slot.get_ready()
            self.ready()
        return await super().on_tick(counter) or self.state.fault is not None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then close: requests go on being answered meanwhile, each connection's last."""
        if self.state.fault is None:
            await self._drain()
        self.acceptor.close()
        await asyncio.sleep(_LAST)  # for the requests of those it took last
        await super().shutdown()
        self.beating.cancel()
        log.info("stopped")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal drains, a second Ctrl+C does not wait. Unlike uvicorn's, which raises
        the signal again when all is done: a service that was asked to stop exits with 0.
        """
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True

    def _reload(self) -> None:
        self.state.follower.ask()

    async def _drain(self) -> None:
        self.state.draining = self.gate.draining = True
        self.acceptor.drain()
        log.info("draining for %gs", self.state.settings.drain)
        loop = asyncio.get_running_loop()
        until = loop.time() + self.state.settings.drain
        while not self.force_exit and (left := until - loop.time()) > 0:
            await asyncio.sleep(min(left, 0.1))
        if self.alone:
            refuse_new(self.listener)
        await asyncio.sleep(_LAST)  # connections that were being made are complete by then

    async def _beat(self) -> None:
        """Show that the event loop turns, and end connections that have taken too long."""
        beats, metrics, clock = 0, self.gate.metrics, asyncio.get_running_loop().time
        while True:
            due = clock() + _BEAT
            await asyncio.sleep(_BEAT)
            self.gate.slot.beat()
            metrics.loop_lag.observe(max(0.0, clock() - due))
            metrics.admission_used.set(self.gate.admission.used())
            beats += 1
            if beats % _BEATS_A_SWEEP == 0:
                self.gate.now += 1
                for connection in list(self.server_state.connections):
                    if isinstance(connection, Connection):
                        connection.sweep()

    def _connection(self, first: bytes) -> Connection:
        return Connection(self.gate, first, self.config, self.server_state, self.lifespan.state)


def serve(
    settings: Settings,
    listener: socket.socket,
    ready: Callable[[], object],
    slot: Slot | None = None,
    engine_socket: Path | None = None,
) -> None:
    """Serve until a signal; ``ready`` is called once a model is in service.

    ``slot``: this worker's, where it is one of several. ``engine_socket``: of the process that has
    the model for all of them. Raises BundleError or ProviderError where there is nothing to serve,
    or nothing to do it with; OSError where it cannot listen.
    """
    tune()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to reload
    metrics = Metrics()
    service = create_app(
        settings,
        load=partial(load_generation, make=remote(engine_socket) if engine_socket else None),
        metrics=metrics,
        board=Board(shared_directory()),
        tell_others=_tell_parent if slot else lambda: None,
        beside=True,
    )
    server = make_server(service, listener, ready, slot)
    server.run()
    if server.state.fault is not None:
        raise server.state.fault


def tune() -> None:
    """Of the interpreter, for a process that answers while threads compute."""
    # A thread that wants the interpreter waits this long for it, 5 ms by default: a batch's thread
    # wants it back after every call of a library, while requests keep the event loop busy.
    sys.setswitchinterval(_SWITCH_AFTER)
    # Nothing that a request leaves behind is in a circle, and looking for circles among all that is
    # remembered stops every request: the oldest objects are looked through a hundred times more
    # seldom than by default.
    gc.set_threshold(*gc.get_threshold()[:2], _SELDOM)


def remote(path: Path) -> MakeEngine:
    """What makes engines whose batches the process behind ``path`` computes."""
    return lambda bundle, settings, live: RemoteEngine(path, bundle, settings.threads, live)


def _tell_parent() -> None:
    """It hands SIGHUP on to every worker."""
    if (parent := multiprocessing.parent_process()) is not None and parent.pid is not None:
        os.kill(parent.pid, signal.SIGHUP)


def make_server(
    service: Service,
    listener: socket.socket,
    ready: Callable[[], object],
    slot: Slot | None = None,
) -> DrainingServer:
    """What runs the application that ``create_app`` made."""
    state: State = service.state.service
    config = uvicorn.Config(
        service,
        http=Connection,
        ws="none",
        log_config=None,  # ours
        log_level="warning",
        access_log=False,
        proxy_headers=False,  # nothing asks where a request came from
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=math.ceil(state.settings.deadline) + 1,
    )
    gate = Gate(state.settings, state.metrics, slot or slots(1)[0])
    return DrainingServer(config, state, gate, listener, ready, alone=slot is None)


def start_logging() -> None:
    """To standard error, a line an event."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")


def bind(host: str, port: int) -> socket.socket:
    """A socket of that address, which does not listen yet: nobody waits in it for a process that
    is still starting. Raises OSError, with the address in it, where it cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((host, port))
    except OSError as error:
        made.close()
        reason = error.strerror or error
        raise OSError(f"cannot listen on {_address(host, port)}: {reason}") from error
    return made


def where(listener: socket.socket) -> str:
    """The URL of a socket."""
    return f"http://{_address(*listener.getsockname()[:2])}"


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
