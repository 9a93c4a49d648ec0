"""Log: entries that are kept in the order in which all replicas apply them.

Blocking, for threads: whoever appends waits for a disk or a network.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from pydantic_core import from_json

log = logging.getLogger("bbqrec")
T = TypeVar("T")


class LogError(Exception):
    """The log cannot be written or read now. The message says why, in a sentence."""


class EntryError(ValueError):
    """Bytes that are no entry of this release."""


class Entry(NamedTuple, Generic[T]):
    """What is kept, and its place in the log; places grow by one, from 1."""

    position: int
    value: T


class Summary(Protocol[T]):
    """What entries come to: what compaction leaves of them."""

    def apply(self, entry: Entry[T]) -> None:
        """The next entry of the log."""

    def entries(self) -> Iterable[Entry[T]]:
        """As few as come to the same, at growing positions."""


class Kind(NamedTuple, Generic[T]):
    """What a log is of.

    file: its name in a folder. key: of its stream in Redis; further ones begin with it.
    encode: an entry as one line of JSON, which has its ``position``, without the line's end.
    decode: the inverse; raises EntryError. summary: None where it is trimmed, and not compacted.
    """

    file: str
    key: str
    encode: Callable[[Entry[T]], bytes]
    decode: Callable[[bytes], Entry[T]]
    summary: Callable[[], Summary[T]] | None = None


def undecoded(line: bytes) -> Entry[bytes]:
    """An entry of whatever release, as it is. Raises EntryError for what has no position."""
    try:
        return Entry(int(from_json(line)["position"]), line)
    except (ValueError, KeyError, TypeError) as error:
        raise EntryError(f"no entry of any release: {error}") from error


def pass_over(position: int, name: object, error: EntryError) -> None:
    """Say that a reader goes on after an entry that it cannot decode, as every reader does.

    Another release wrote it, as while one replaces another, or somebody else: those who wait for
    what comes after it would wait for ever.
    """
    log.error("position %d of %s is passed over: %s", position, name, error)


class Reader(Protocol[T]):
    """One that follows the log from its beginning. For one thread at a time.

    position: of the last entry that it has given or passed over.
    """

    position: int

    def read(self, most: int, patience: float = 0.0) -> list[Entry[T]]:
        """The next entries, ``most`` or a few more; waits up to ``patience`` seconds for some.

        Of entries that were compacted only what they came to is given. What cannot be decoded is
        said and passed over. Raises LogError.
        """

    def ends_before(self, position: int) -> bool:
        """Whether the log does, for who has read all of it: it is another one than had that.

        Raises LogError.
        """

    def close(self) -> None:
        """Give back files and connections."""


class Log(Protocol[T]):
    """Keeps what it is given. Raises LogError where it cannot."""

    def append(self, values: Sequence[T]) -> list[int]:
        """Their positions, one after another, once all are kept. Where it fails some may be."""

    def reader(self) -> Reader[T]:
        """A new one, at position 0."""

    def compact_if_due(self) -> bool:
        """Replace entries by what they came to, where that is much less; whether it was done."""

    def trim(self, position: int, most: int, lasts: Callable[[bytes], bool]) -> None:
        """Of the entries up to this one, forget all but the latest ``most`` that last.

        It is not the last one, by which readers see that there is more. What lasts is told of an
        entry as it was encoded. Raises LogError.
        """

    def close(self) -> None:
        """Give back files and connections."""
