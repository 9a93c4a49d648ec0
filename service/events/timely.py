"""Timely: records at times that can be, for a host whose clock is wrong writes to the log, too.

What lies a year ahead would outweigh all that is counted, and be the latest that its user did, for
a year.
"""

import time
from collections.abc import Callable

from service.events.record import Record

AHEAD = 300.0  # seconds: clocks differ


class Timely:
    """Of one reader of the log."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._latest: float | None = None

    def of(self, record: Record) -> Record:
        """The next of the log. What lies ahead of this host's clock is of when the latest before it
        was, whoever reads it and whenever.
        """
        now = self._clock()
        if record.time > now + AHEAD:
            return record._replace(time=now if self._latest is None else self._latest)
        self._latest = max(record.time, self._latest or record.time)
        return record
