"""`bbqrec-serve` with an intake of ours, as a program: ``python -m tests.service.live_shop``."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from models.contract import bundle
from service.catalogue.live_items import LiveItems
from service.generation.generation import Generation
from service.generation.load import make_engine, new_generation
from service.http.app import create_app
from service.metrics import Metrics
from service.process.server import bind, make_server, start_logging, where
from service.settings import Settings
from tests.service.fakes import FakeIntake

ROOT = Path(__file__).parents[2]


def load(directory: Path, settings: Settings, metrics: Metrics) -> Generation:
    """A real engine on a real bundle."""
    items = LiveItems(bundle.read(directory))
    engine = make_engine(items.bundle, settings, metrics)
    return new_generation(items, engine, FakeIntake(items.bundle), settings, metrics)


def start(log: Path, **settings: str) -> "subprocess.Popen[bytes]":
    """Run it; where it listens is in its log."""
    environment = {f"BBQREC_{name.upper()}": value for name, value in settings.items()}
    environment = {"BBQREC_PORT": "0", "BBQREC_PROVIDER": "cpu", "BBQREC_DRAIN": "0"} | environment
    with log.open("ab") as stderr:
        command: Sequence[str] = [sys.executable, "-m", "tests.service.live_shop"]
        return subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}, stderr=stderr)


def main() -> None:
    start_logging()
    settings = Settings()
    listener = bind(settings.host, settings.port)
    app = create_app(settings, load, Metrics(), beside=True)
    make_server(app, listener, lambda: print(f"ready on {where(listener)}", file=sys.stderr)).run()


if __name__ == "__main__":
    main()
