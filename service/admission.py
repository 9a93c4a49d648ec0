"""How many requests may be in the house at once, so that none waits longer than it should.

A request more would wait for all that are in flight, each for as long as one took lately. That is
measured over the time in which the service was busy: an idle hour says nothing of its speed. Nor
does a calm one, but that it is as fast as that at least: only who always has some waiting shows how
many it can answer.
"""

import time
from collections.abc import Callable

_SAMPLE = 0.1  # busy seconds that make one measurement
_BATCHES = 4  # that are always let in
_WEIGHT = 0.3  # of a new measurement against all before it: a change is believed within a second


class Admission:
    """Counts requests in flight, and says when one more would wait longer than ``max_wait``.

    Some batches of requests are let in however slow the service is: it needs them to find out that
    it has become fast again, and they are what comes while the process stands still for a moment.
    """

    def __init__(
        self, max_wait: float, batch: int, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.max_wait = max_wait
        self.batch = batch
        self.always = _BATCHES * batch
        self.clock = clock
        self.in_flight = 0
        self.most = self.always
        self.each: float | None = None  # busy seconds a request; None: not measured yet
        self._peak = 0  # in flight, since `used` was asked
        self._least = 0  # in flight, during this measurement
        self._done = 0
        self._busy_since = 0.0
        self._carried = 0.0  # busy seconds of a measurement that an idle moment interrupted

    def full(self, coming: int = 0) -> bool:
        """One more would wait too long, after those in flight and those that are ``coming``."""
        return self.in_flight + coming >= self.most

    def used(self) -> float:
        """The most that was in flight since this was asked last, as a share of what may be."""
        peak, self._peak = self._peak, self.in_flight
        return min(1.0, peak / self.most)

    def begin(self) -> None:
        """A request was let in."""
        if not self.in_flight:
            self._busy_since = self.clock() - self._carried
        self.in_flight += 1
        self._peak = max(self._peak, self.in_flight)

    def end(self) -> None:
        """It was answered, or its client left."""
        self.in_flight -= 1
        self._least = min(self._least, self.in_flight)
        self._done += 1
        busy = self.clock() - self._busy_since
        if busy >= _SAMPLE:
            self._measured(busy / self._done)
            self._done, self._busy_since, busy = 0, self._busy_since + busy, 0.0
            self._least = self.in_flight
        self._carried = busy

    def _pressed(self) -> bool:
        """As many as make a batch have been in flight all the time."""
        return self._least >= self.batch

    def _measured(self, each: float) -> None:
        if self.each is None:
            self.each = each
        elif each < self.each or self._pressed():
            self.each += _WEIGHT * (each - self.each)
        self.most = max(self.always, int(self.max_wait / self.each))
