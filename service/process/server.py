"""One process that serves: loads the bundle, listens, drains when it is asked to stop."""

import asyncio
import logging
import math
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType

import uvicorn

from service.generation.board import Board
from service.http.app import create_app
from service.http.state import State
from service.metrics import Metrics, shared_directory
from service.settings import Settings

_SWITCH_AFTER = 0.0002  # seconds
log = logging.getLogger("bbqrec")


class DrainingServer(uvicorn.Server):
    """Turns /readyz to 503 first, and stops listening only after the load balancer has seen it."""

    def __init__(self, config: uvicorn.Config, state: State, ready: Callable[[], object]) -> None:
        super().__init__(config)
        self.state = state
        self.ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Say so, once it is ready."""
        await super().startup(sockets)
        self.ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then close: requests go on being answered meanwhile."""
        self.state.draining = True
        log.info("draining for %gs", self.state.settings.drain)
        loop = asyncio.get_running_loop()
        until = loop.time() + self.state.settings.drain
        while not self.force_exit and (left := until - loop.time()) > 0:
            await asyncio.sleep(min(left, 0.1))
        await super().shutdown(sockets)
        log.info("stopped")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal drains, a second Ctrl+C does not wait. Unlike uvicorn's, which raises
        the signal again when all is done: a service that was asked to stop exits with 0.
        """
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def serve(settings: Settings, listener: socket.socket, ready: Callable[[], object]) -> None:
    """Serve until a signal; ``ready`` is called once requests are answered.

    Raises BundleError or ProviderError where there is nothing to serve, or nothing to do it with.
    """
    # A thread that wants the interpreter waits this long for it, 5 ms by default: a batch's thread
    # wants it back after every call of a library, while requests keep the event loop busy.
    sys.setswitchinterval(_SWITCH_AFTER)
    metrics = Metrics()
    service = create_app(settings, metrics=metrics, board=Board(shared_directory()))
    config = uvicorn.Config(
        service,
        log_config=None,  # ours
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=math.ceil(settings.deadline) + 1,
    )
    DrainingServer(config, service.state.service, ready).run(sockets=[listener])


def start_logging() -> None:
    """To standard error, a line an event."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError, with the address in it, where it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"cannot listen on {_address(host, port)}: {reason}") from error


def where(listener: socket.socket) -> str:
    """The URL of a listening socket."""
    return f"http://{_address(*listener.getsockname()[:2])}"


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
