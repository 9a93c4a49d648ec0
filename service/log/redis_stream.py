"""How a log lies in Redis: its keys, what is read off them, and faults said in one sentence."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import redis
from pydantic import TypeAdapter, ValidationError

from service.log.log import EntryError, LogError

AT_ONCE = 500  # entries


class Keys(NamedTuple):
    """Where a log lies: its stream; what of its trimmed part lasts; which list has what was
    compacted; who is at it.
    """

    stream: str
    lasting: str
    pointer: str
    lock: str

    @classmethod
    def of(cls, key: str) -> "Keys":
        """Of the log whose stream this is."""
        return cls(key, f"{key}:lasting", f"{key}:compacted", f"{key}:compacting")


class Compacted(NamedTuple):
    """Where what was compacted lies, and up to which position it goes."""

    position: int
    entries: int
    key: str


_POINTER = TypeAdapter(Compacted)
Told = Mapping[bytes, bytes]  # fields of an entry


def compacted_at(client: Any, keys: Keys) -> Compacted | None:
    """What was compacted; None where nothing was. Raises EntryError."""
    found = client.get(keys.pointer)
    try:
        return None if found is None else _POINTER.validate_json(found)
    except ValidationError:
        raise EntryError(f"{keys.pointer} does not say where what was compacted lies") from None


def history_of(client: Any) -> str | None:
    """Another one where a server was restarted, or a replica took over; None: it does not tell."""
    try:
        found = client.info("replication").get("master_replid")
    except redis.exceptions.NoPermissionError:  # of who may use keys alone
        return None
    return None if found is None else str(found)


def parts(client: Any, stream: str, after: int, upto: int) -> Iterator[list[tuple[bytes, Told]]]:
    """Entries beyond one position and up to another."""
    while after < upto and (part := client.xrange(stream, f"0-{after + 1}", f"0-{upto}", AT_ONCE)):
        yield part
        after = place_of(part[-1][0])[1]


def end_of(client: Any, stream: str) -> int:
    """The position of its last entry, 0 where there is none."""
    found = client.xrevrange(stream, count=1)
    return place_of(found[0][0])[1] if found else 0


def line_of(told: Told) -> bytes:
    """The entry, as it was encoded."""
    return told.get(b"entry", b"")


def place_of(stream_id: bytes) -> tuple[int, int]:
    """What a name in a stream says: 0 of an entry of ours, and its position."""
    first, _, second = stream_id.partition(b"-")
    return int(first), int(second)


@contextmanager
def said() -> Iterator[None]:
    """Whatever Redis fails by as LogError."""
    try:
        yield
    except (redis.RedisError, OSError, EntryError) as error:
        raise LogError(f"the log in Redis is not to be had: {error}") from error
