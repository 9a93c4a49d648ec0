"""What the processes behind one port know of each other: a few numbers in shared memory.

A slot for each worker, written by that worker alone; who reads needs no lock.
"""

import time
from multiprocessing.sharedctypes import RawArray
from typing import Any

_BEAT, _READY, _OPEN = range(3)
_WIDTH = 3
_FRESH = 0.5  # seconds; a worker that beat longer ago stands still, and takes no connections


class Slot:
    """One worker's place, and its sight of the others'."""

    def __init__(self, shared: Any, number: int) -> None:
        self.shared = shared
        self.number = number
        self._at = _WIDTH * number

    def clear(self) -> None:
        """A new worker will be here."""
        self.shared[self._at : self._at + _WIDTH] = [0.0] * _WIDTH

    def beat(self) -> None:
        """The event loop turns."""
        self.shared[self._at + _BEAT] = time.monotonic()

    def silent(self) -> float:
        """Seconds since the last beat of a worker that got ready; 0 for one that did not yet."""
        ready, beat = self.shared[self._at + _READY], self.shared[self._at + _BEAT]
        return time.monotonic() - beat if ready else 0.0

    @property
    def ready(self) -> bool:
        """It has answered, or can."""
        return bool(self.shared[self._at + _READY])

    def get_ready(self) -> None:
        """It can answer from now on."""
        self.beat()
        self.shared[self._at + _READY] = 1.0

    @property
    def connections(self) -> int:
        """Open ones."""
        return int(self.shared[self._at + _OPEN])

    @connections.setter
    def connections(self, count: int) -> None:
        self.shared[self._at + _OPEN] = count

    def yields(self) -> bool:
        """Another worker can answer, and this one cannot yet."""
        return not self.ready and bool(self._others())

    def surplus(self) -> int:
        """How many connections more it has than the lightest other worker that takes any."""
        others = self._others()
        return self.connections - min(others) if others else 0

    def _others(self) -> list[int]:
        """Connections of those that are ready and do not stand still."""
        since = time.monotonic() - _FRESH
        return [
            int(self.shared[at + _OPEN])
            for at in range(0, len(self.shared), _WIDTH)
            if at != self._at and self.shared[at + _READY] and self.shared[at + _BEAT] > since
        ]


def slots(count: int) -> list[Slot]:
    """One for each of ``count`` workers."""
    shared = RawArray("d", _WIDTH * count)
    return [Slot(shared, number) for number in range(count)]
