"""``bbqrec-serve BUNDLE``: serve a bundle over HTTP."""

import logging
import socket
import sys
import threading
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

console = Console(stderr=True)
# No markup: it would take "[env: ...]" for a style.
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


class DrainingServer(uvicorn.Server):
    """Turns /readyz to 503 first, and stops listening only after the load balancer has seen it."""

    def __init__(self, config: uvicorn.Config, state: State) -> None:
        super().__init__(config)
        self.state = state

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal drains; a second one, or no drain time, stops at once."""
        stop = super().handle_exit
        if self.state.draining or self.state.settings.drain == 0:
            stop(sig, frame)
            return
        self.state.draining = True
        timer = threading.Timer(self.state.settings.drain, stop, (sig, frame))
        timer.daemon = True
        timer.start()


@app.command()
def serve(
    bundle: Annotated[
        Path | None, typer.Argument(help="The bundle's folder. [env: BBQREC_BUNDLE]")
    ] = None,
    host: Annotated[str | None, typer.Option(help="[env: BBQREC_HOST]")] = None,
    port: Annotated[int | None, typer.Option(help="[env: BBQREC_PORT]")] = None,
    provider: Annotated[
        str | None,
        typer.Option(help="auto, cpu, cuda, torch or torch-cuda. [env: BBQREC_PROVIDER]"),
    ] = None,
    redis_url: Annotated[
        str | None, typer.Option(help="Share item codes. [env: BBQREC_REDIS_URL]")
    ] = None,
) -> None:
    """Serve BUNDLE: POST /recommend, GET /model, /metrics, /livez, /readyz and /docs.

    Every other setting comes from the environment, prefix BBQREC_: THREADS, MAX_BATCH, MAX_K,
    MAX_HISTORY, MAX_EXCLUDE, MAX_BODY_BYTES, REDIS_TIMEOUT, REDIS_PAUSE, REDIS_TTL, DRAIN.
    """
    given: dict[str, Any] = {
        "bundle": bundle, "host": host, "port": port, "provider": provider, "redis_url": redis_url,
    }  # fmt: skip
    settings = Settings(**{name: value for name, value in given.items() if value is not None})
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    metrics = Metrics()
    # Loaded before the server starts, so that a fault is one line here and no traceback there.
    recommender = load_recommender(settings, metrics)
    service = create_app(settings, lambda *_: recommender, metrics)
    listener = listen(settings.host, settings.port)
    config = uvicorn.Config(service, log_level="warning", access_log=False, lifespan="on")
    host, port = listener.getsockname()[:2]
    logging.getLogger("bbqrec").info("listening on http://%s:%d", host, port)
    DrainingServer(config, service.state.service).run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """A bound socket. Raises OSError, with the address in it, where it cannot be had."""
    try:
        return socket.create_server((host, port), backlog=2048)
    except OSError as error:
        raise OSError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error


def main() -> None:
    """Entry point: a fault of set-up is one clear line, never a traceback."""
    try:
        app()
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, f['loc']))}: {f['msg']}" for f in error.errors())
        _fail("settings: " + "; ".join(faults))
    except (BundleError, ProviderError, OSError) as error:
        _fail(str(error))


def _fail(message: str) -> None:
    console.print("[bold red]error:[/]", end=" ")
    console.print(message, markup=False, highlight=False, soft_wrap=True)
    sys.exit(1)
