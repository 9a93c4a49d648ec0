"""``bbqrec-serve BUNDLE``: serve a bundle over HTTP."""

import asyncio
import logging
import math
import signal
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
import uvicorn
from pydantic import ValidationError
from rich.console import Console

from models.bundle import BundleError
from service.app import create_app, load_recommender
from service.metrics import Metrics
from service.scorer import ProviderError
from service.settings import Settings
from service.state import State

_SWITCH_AFTER = 0.0002  # seconds
log = logging.getLogger("bbqrec")
console = Console(stderr=True)
# No markup: it would take "[env: ...]" for a style.
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


class DrainingServer(uvicorn.Server):
    """Turns /readyz to 503 first, and stops listening only after the load balancer has seen it."""

    def __init__(self, config: uvicorn.Config, state: State) -> None:
        super().__init__(config)
        self.state = state

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Say where, once it is ready."""
        await super().startup(sockets)
        for listener in sockets or []:
            log.info("ready on http://%s", address(*listener.getsockname()[:2]))

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


def settings_help() -> str:
    """A line for every setting of the environment, with its default."""
    # \b has click keep the lines of its paragraph as they are.
    lines = ["Settings of the environment, in seconds and bytes (an option wins):", "", "\b"]
    for name, field in Settings.model_fields.items():
        default = "" if field.is_required() or field.default is None else f" [{field.default}]"
        lines.append(f"BBQREC_{name.upper()}{default}: {field.description}")
    return "\n".join(lines)


@app.command(epilog=settings_help())
def serve(
    bundle: Annotated[Path | None, typer.Argument(help="The bundle's folder.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0: any free one.")] = None,
    provider: Annotated[
        str | None, typer.Option(help="auto, cpu, cpu-int8, cuda, torch or torch-cuda.")
    ] = None,
    redis_url: Annotated[str | None, typer.Option(help="Share item codes there.")] = None,
) -> None:
    """Serve BUNDLE: POST /recommend, GET /model, /metrics, /livez, /readyz and /docs."""
    given: dict[str, Any] = {
        "bundle": bundle, "host": host, "port": port, "provider": provider, "redis_url": redis_url,
    }  # fmt: skip
    settings = Settings(**{name: value for name, value in given.items() if value is not None})
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # A thread that wants the interpreter waits this long for it, 5 ms by default: a batch's thread
    # wants it back after every call of a library, while requests keep the event loop busy.
    sys.setswitchinterval(_SWITCH_AFTER)
    metrics = Metrics()
    # Loaded before the server starts, so that a fault is one line here and no traceback there.
    recommender = load_recommender(settings, metrics)
    service = create_app(settings, lambda *_: recommender, metrics)
    listener = listen(settings.host, settings.port)
    config = uvicorn.Config(
        service,
        log_config=None,  # ours
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=math.ceil(settings.deadline) + 1,
    )
    DrainingServer(config, service.state.service).run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError, with the address in it, where it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"cannot listen on {address(host, port)}: {reason}") from error


def address(host: str, port: int) -> str:
    """host:port as a URL has it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def main() -> None:
    """Entry point: a fault of set-up is one clear line, never a traceback."""
    try:
        app()
    except ValidationError as error:
        faults = (
            f"BBQREC_{'.'.join(map(str, f['loc'])).upper()}: {f['msg']}" for f in error.errors()
        )
        _fail("settings: " + "; ".join(faults))
    except (BundleError, ProviderError, OSError) as error:
        _fail(str(error))


def _fail(message: str) -> None:
    console.print("[bold red]error:[/]", end=" ")
    console.print(message, markup=False, highlight=False, soft_wrap=True)
    sys.exit(1)
