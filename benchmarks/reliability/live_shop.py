"""The service as a person runs it, but for its intake: ``python -m benchmarks.reliability.live_shop
BUNDLE --port 0``."""

import logging
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

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


def shop(bundle: Path, **settings: str) -> AbstractContextManager[Program]:
    """It runs, until the end of the block."""
    start = f"from {__name__} import main; import typer; typer.run(main)"
    return running(bundle, start=start, **settings)


def main(bundle: Path, port: Annotated[int, typer.Option()] = 0) -> None:
    start_logging()
    settings = Settings(bundle=bundle, port=port, provider="cpu", drain=0)
    listener = bind(settings.host, settings.port)
    app = create_app(settings, load, Metrics(), beside=True)
    make_server(app, listener, lambda: log.info("ready on %s", where(listener))).run()


if __name__ == "__main__":
    typer.run(main)
