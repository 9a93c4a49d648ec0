"""Work beside requests."""

import asyncio
import os

import pytest

from service.generation.beside import beside


def test_a_service_that_is_behind_others_already_loads_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only the system's owner may raise a priority."""

    def forbidden(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "getpriority", lambda *_: 15)
    monkeypatch.setattr(os, "setpriority", forbidden)
    assert asyncio.run(asyncio.wait_for(beside(lambda: 7, yielding=True), 5)) == 7
