"""Fixtures that several folders of tests share."""

from pathlib import Path

import pytest

from models.contract.store import BundleStore
from tests.simulated_shop import Shop, simulate
from tests.tiny_bundle import write_tiny_bundle


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The simulated shop at its default size. Session-wide: read it, do not write to it."""
    return simulate(tmp_path_factory.mktemp("simulated-shop"))


@pytest.fixture(scope="session")
def two_bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output folder with two bundles. Session-wide: copy it, with its links."""
    output = tmp_path_factory.mktemp("two-bundles")
    for seed in (0, 1):
        with BundleStore(output).new() as partial:
            write_tiny_bundle(partial, seed=seed)
    return output
