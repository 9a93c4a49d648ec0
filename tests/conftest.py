"""Fixtures that several folders of tests share."""

import pytest

from tests.simulated_shop import Shop, simulate


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The simulated shop at its default size. Session-wide: read it, do not write to it."""
    return simulate(tmp_path_factory.mktemp("simulated-shop"))
