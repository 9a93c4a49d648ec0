"""When a process that died is replaced."""

import time

import pytest

from service.process.child import Pauses
from service.process.slots import slots


def test_what_served_is_replaced_at_once_and_what_never_did_later_and_later() -> None:
    (slot,), pauses = slots(1), Pauses()

    def waits() -> float:
        return pauses.begin(slot, "died") - time.monotonic()

    assert [waits() for _ in range(7)] == pytest.approx([1, 2, 4, 8, 16, 30, 30], abs=0.5)
    slot.get_ready()
    assert waits() <= 0
    assert waits() == pytest.approx(1, abs=0.5)  # the next never got ready
