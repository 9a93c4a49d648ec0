"""What waits for a name is left behind."""

import threading
import time

import pytest

from service.catalogue.soon import Soon


def test_what_is_called_answers_or_raises() -> None:
    soon = Soon(5)
    assert soon.call(lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        soon.call(lambda: 1 // 0)


def test_what_is_late_is_left_behind_and_nothing_begins_before_it_has_ended() -> None:
    soon, goes_on, began = Soon(0.05), threading.Event(), []

    def slow() -> None:
        began.append(1)
        goes_on.wait(10)

    for _ in range(3):
        with pytest.raises(TimeoutError):
            soon.call(slow)
    assert began == [1]
    goes_on.set()
    until = time.monotonic() + 10
    while soon._late and soon._late.is_alive() and time.monotonic() < until:
        time.sleep(0.01)
    assert soon.call(lambda: 3) == 3
