"""ChangeLog: what was done to the catalogue, in the order in which all replicas apply it.

Blocking, for threads: whoever appends waits for a disk or a network.
"""

from collections.abc import Sequence
from typing import Protocol

from service.catalogue.change import Change, Entry


class LogError(Exception):
    """The log cannot be written or read now. The message says why, in a sentence."""


class Reader(Protocol):
    """One that follows the log from its beginning. For one thread at a time.

    position: of the last entry that it has given or passed over.
    """

    position: int

    def read(self, most: int, patience: float = 0.0) -> list[Entry]:
        """The next entries, ``most`` or a few more; waits up to ``patience`` seconds for some.

        Of entries that were compacted only what they came to is given. Raises LogError.
        """

    def close(self) -> None:
        """Give back files and connections."""


class ChangeLog(Protocol):
    """Keeps changes. Raises LogError where it cannot."""

    def append(self, changes: Sequence[Change]) -> list[int]:
        """Their positions, one after another, once all are kept. Where it fails some may be."""

    def reader(self) -> Reader:
        """A new one, at position 0."""

    def compact_if_due(self) -> bool:
        """Replace entries by what they came to, where that is much less; whether it was done."""

    def close(self) -> None:
        """Give back files and connections."""
