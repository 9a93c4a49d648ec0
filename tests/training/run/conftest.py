from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import Once
from tests.simulated_shop import Shop
from tests.training.shop_run import train, write_config


class Run(NamedTuple):
    """Of the command line, and what it printed."""

    config: Path
    stdout: str
    stderr: str


@pytest.fixture(scope="session")
def trained(shop: Shop, once: Once) -> Run:
    """`bbqrec-train run` on the simulated shop, once for all tests: read its outputs, only."""

    def run(folder: Path) -> None:
        done = train("run", write_config(shop, folder))
        assert done.returncode == 0, done.stderr
        (folder / "stdout").write_text(done.stdout)
        (folder / "stderr").write_text(done.stderr)

    folder = once.folder("shop-run", run)
    said = ((folder / name).read_text() for name in ("stdout", "stderr"))
    return Run(folder / "run.toml", *said)
