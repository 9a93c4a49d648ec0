"""Rests between steps of what is done beside requests."""

import time

import pytest

from service import pace


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Rests are told, and not taken."""
    found = list[float]()
    monkeypatch.setattr(time, "sleep", found.append)
    return found


def test_a_rest_is_as_long_as_the_step_asks_for_and_bounded(
    slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    with pace.paced():
        for step in (0.01, 0.02, 5.0):
            now[0] += step
            pace.rest()
    assert slept == pytest.approx([0.03, 0.06, 0.1])


def test_who_is_not_paced_does_not_rest(slept: list[float]) -> None:
    pace.rest()
    with pace.paced():
        pass
    pace.rest()
    assert slept == []
