"""The log as a stream in a Redis that keeps: for replicas on several machines.

Entries are ``0-1``, ``0-2``, ...: the second number is the position. Compaction writes what the
entries came to beside the stream, then points to it and trims the stream in one transaction, then
removes what was pointed to before. So whoever reads finds all of it at any moment, or sees that it
was replaced meanwhile, and reads again.

Of a stream that is trimmed, what lasts moves to a stream of its own, under the names it had.
"""

import logging
import math
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Generic, NamedTuple, TypeGuard

import redis
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from service.log.log import (
    Entry,
    EntryError,
    Kind,
    LogError,
    Summary,
    T,
    pass_over,
    undecoded,
)
from service.log.redis_client import open_redis
from service.log.trail import NOTHING, Trail

log = logging.getLogger("bbqrec")
_TIMEOUT = 2.0  # seconds to connect and to answer
_AT_ONCE = 500
_WORTH = 10_000  # entries: a shorter stream is not compacted
_TURN = 0.5  # seconds that a blocking read lasts at most
_COMPACTING = 600  # seconds after which a compaction counts as dead


class _Keys(NamedTuple):
    """Where a log lies: its stream; what of its trimmed part lasts; which list has what was
    compacted; who is at it.
    """

    stream: str
    lasting: str
    pointer: str
    lock: str

    @classmethod
    def of(cls, key: str) -> "_Keys":
        return cls(key, f"{key}:lasting", f"{key}:compacted", f"{key}:compacting")


class _Compacted(NamedTuple):
    """Where what was compacted lies, and up to which position it goes."""

    position: int
    entries: int
    key: str


_POINTER = TypeAdapter(_Compacted)
_Told = Mapping[bytes, bytes]  # fields of an entry


class RedisLog(Generic[T]):
    """A stream. Nothing is asked before it is used: Redis may come later."""

    def __init__(self, url: str, kind: Kind[T], worth: int = _WORTH) -> None:
        self.kind = kind
        self.keys = _Keys.of(kind.key)
        self.worth = worth
        self.client = open_redis(url, _TIMEOUT)
        self._keeps = False
        self._looking = threading.Lock()

    def append(self, values: Sequence[T]) -> list[int]:
        """In one transaction. Raises LogError."""
        with _said():
            self._check()
            with self.client.pipeline(transaction=True) as pipeline:
                for value in values:
                    # The position is Redis's to give: it is read off the stream.
                    line = self.kind.encode(Entry(0, value))
                    pipeline.xadd(self.keys.stream, {"entry": line}, id="0-*")
                return [_id(found)[1] for found in pipeline.execute()]

    def reader(self) -> "RedisReader[T]":
        """One at position 0."""
        return RedisReader(self.client, self.keys, self.kind.decode, self._check)

    def compact_if_due(self) -> bool:
        """Where the stream is long, and no other replica is at it."""
        if self.kind.summary is None:
            return False
        with _said():
            compacted = _compacted(self.client, self.keys)
            due = max(self.worth, compacted.entries if compacted else 0)
            if self.client.xlen(self.keys.stream) < due:
                return False
            with self._alone() as alone:
                if alone:
                    self._compact(compacted, self.kind.summary())
        return alone

    def trim(self, position: int, most: int, lasts: Callable[[bytes], bool]) -> None:
        """Of the entries up to this one, forget all but the latest ``most`` that last; unless
        another replica is at it.
        """
        with _said(), self._alone() as alone:
            if not alone:
                return
            stream, lasting = self.keys.stream, self.keys.lasting
            for part in _parts(self.client, lasting, 0, position):
                if gone := [name for name, told in part if not lasts(_line(told))]:
                    self.client.xdel(lasting, *gone)
            for part in _parts(self.client, stream, _end(self.client, lasting), position):
                with self.client.pipeline() as pipeline:
                    for name, told in part:
                        if lasts(_line(told)):
                            pipeline.xadd(lasting, told, id=name)
                    pipeline.execute()
            self.client.xtrim(lasting, maxlen=most, approximate=False)
            self.client.xtrim(stream, minid=f"0-{position + 1}", approximate=False)

    def close(self) -> None:
        """Disconnect."""
        self.client.close()

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Whether no other replica rewrites the log, nor will while this one does."""
        mine = uuid.uuid4().hex
        alone = bool(self.client.set(self.keys.lock, mine, nx=True, ex=_COMPACTING))
        try:
            yield alone
        finally:
            if self.client.get(self.keys.lock) == mine.encode():
                self.client.delete(self.keys.lock)

    def _compact(self, before: _Compacted | None, summary: Summary[T]) -> None:
        # As they are: what is of another release is not passed over here, it would be gone.
        reader = RedisReader(self.client, self.keys, undecoded, self._check)
        while entries := reader.read(_AT_ONCE):
            for position, line in entries:
                summary.apply(Entry(position, self.kind.decode(line).value))
        lines = [self.kind.encode(entry) for entry in summary.entries()]
        made = _Compacted(reader.position, len(lines), f"{self.keys.pointer}:{uuid.uuid4().hex}")
        for first in range(0, len(lines), _AT_ONCE):
            self.client.rpush(made.key, *lines[first : first + _AT_ONCE])
        with self.client.pipeline(transaction=True) as pipeline:
            pipeline.watch(self.keys.pointer)
            now = _compacted(pipeline, self.keys)
            # Another replica was faster, or another server has taken over: what was read may not
            # be what is there.
            if now != before or _history(pipeline) != reader.history:
                self.client.delete(made.key)
                return
            pipeline.multi()
            pipeline.set(self.keys.pointer, to_json(made._asdict()))
            pipeline.xtrim(self.keys.stream, minid=f"0-{made.position + 1}", approximate=False)
            pipeline.execute()
        if before is not None:
            self.client.delete(before.key)
        log.info("%s in Redis was compacted up to position %d", self.keys.stream, made.position)

    def _check(self) -> None:
        """Raises LogError for a Redis that may drop what it was given, or cannot count."""
        with self._looking:
            if self._keeps:
                return
            found = self.client.info()
            if int(str(found.get("redis_version", "0")).split(".")[0]) < 7:
                raise LogError("a log needs Redis 7 or newer")
            policy = found.get("maxmemory_policy", "noeviction")
            if policy.startswith("allkeys"):
                raise LogError(
                    f"a log needs a Redis that keeps: its policy is {policy}, set "
                    "noeviction, or give BBQREC_LOG_URL another one than the cache's"
                )
            if not found.get("aof_enabled"):
                log.warning("this Redis loses what it is given when it stops: set appendonly yes")
            self._keeps = True


class RedisReader(Generic[T]):
    """Reads what was compacted, then the stream."""

    def __init__(
        self,
        client: Any,
        keys: _Keys,
        decode: Callable[[bytes], Entry[T]],
        check: Callable[[], None],
    ) -> None:
        self.position = 0
        self.history: str | None = None  # of the server's data, in which all that is read is
        self._behind = True  # what comes next may have been trimmed, and last
        self._trail = Trail()
        self._client = client
        self._keys = keys
        self._decode = decode
        self._check = check

    def read(self, most: int, patience: float = 0.0) -> list[Entry[T]]:
        """The next entries. Raises LogError."""
        until = time.monotonic() + patience
        while True:
            before = self.position
            with _said():
                self._check()
                if entries := self._next(most, until):
                    return entries
            if self.position == before and time.monotonic() >= until:
                return []

    def ends_before(self, position: int) -> bool:
        """Whether the stream does. Raises LogError."""
        with _said():
            return self._last() < position

    def close(self) -> None:
        """Nothing of its own to give back."""

    def _next(self, most: int, until: float) -> list[Entry[T]]:
        self._go_back_if_lost()
        while self._is_behind(compacted := _compacted(self._client, self._keys)):
            if entries := self._of_compacted(compacted):
                return entries
        lines = self._lasting(most, self._last()) if self._behind else []
        self._behind = bool(lines)
        if not lines:
            wait = min(_TURN, until - time.monotonic())
            block = math.ceil(1000 * wait) if wait > 0 else None
            found = self._client.xread({self._keys.stream: f"0-{self.position}"}, most, block)
            lines = self._of_the_log([entry for _, entries in found for entry in entries])
            if not lines:
                return []
            if lines[0][0] != self.position + 1 and self._was_trimmed(lines[0][0]):
                return self._next(most, until)
        if _history(self._client) != self.history:
            return self._next(most, until)  # whose these are, nobody can tell
        self.position = lines[-1][0]
        self._trail.note(self.position, _line(lines[-1][1]))
        return [
            Entry(position, entry.value)
            for position, told in lines
            if (entry := self._decoded(_line(told), position)) is not None
        ]

    def _lasting(self, most: int, upto: float) -> list[tuple[int, _Told]]:
        """The next that last of what was trimmed."""
        first, last = f"0-{self.position + 1}", "+" if math.isinf(upto) else f"0-{upto}"
        return self._of_the_log(self._client.xrange(self._keys.lasting, first, last, most))

    def _was_trimmed(self, before: int) -> bool:
        """Just now: what was compacted, or what lasts, has some of what is missing before this."""
        self._behind = bool(self._lasting(1, before))
        return self._behind or self._is_behind(_compacted(self._client, self._keys))

    def _of_the_log(self, entries: Sequence[tuple[bytes, _Told]]) -> list[tuple[int, _Told]]:
        """By position. Raises EntryError before what has none: all behind it has none, either, and
        would be read again and again.
        """
        lines = [(_id(name), told) for name, told in entries]
        ours = [(position, told) for (first, position), told in lines if first == 0]
        if lines and not ours:
            name = entries[0][0].decode()
            raise EntryError(f"{self._keys.stream} holds {name}, which is no entry of a log")
        return ours

    def _is_behind(self, compacted: _Compacted | None) -> TypeGuard[_Compacted]:
        return compacted is not None and compacted.position > self.position

    def _of_compacted(self, compacted: _Compacted) -> list[Entry[T]]:
        """All of it after this reader's position: at once, for it may be replaced meanwhile."""
        lines: list[bytes] = []
        for first in range(0, compacted.entries, _AT_ONCE):
            lines += self._client.lrange(compacted.key, first, first + _AT_ONCE - 1)
        if len(lines) < compacted.entries:  # replaced by another
            return []
        found = [self._decoded(line, compacted.position) for line in lines]
        entries = [e for e in found if e is not None and e.position > self.position]
        self.position = compacted.position
        self._trail.note(self.position, NOTHING)
        return entries

    def _decoded(self, line: bytes, position: int) -> Entry[T] | None:
        try:
            return self._decode(line)
        except EntryError as error:
            pass_over(position, f"{self._keys.stream} in Redis", error)
            return None

    def _go_back_if_lost(self) -> None:
        """Where somebody emptied this Redis, or one took over that had not got all of it yet."""
        history, last = _history(self._client), self._last()
        if history == self.history and last >= self.position:
            return
        before, self.position = self.position, self._trail.back(last, self._there)
        if self.position < before:
            self._behind = True
            name, after = self._keys.stream, self.position
            log.error("%s in Redis lost what was read; it is read from %d on", name, after + 1)
        self.history = history

    def _there(self, position: int) -> bytes:
        found = self._client.xrange(self._keys.stream, f"0-{position}", f"0-{position}")
        return _line(found[0][1]) if found else NOTHING

    def _last(self) -> float:
        """Where the stream ends; nowhere, where it does with what is no entry of a log."""
        try:
            ends = _id(self._client.xinfo_stream(self._keys.stream)["last-generated-id"])
        except redis.ResponseError:
            if self._client.exists(self._keys.stream):  # it cannot tell now: that is not empty
                raise
            return 0
        return math.inf if ends[0] else ends[1]


def _compacted(client: Any, keys: _Keys) -> _Compacted | None:
    found = client.get(keys.pointer)
    try:
        return None if found is None else _POINTER.validate_json(found)
    except ValidationError:
        raise EntryError(f"{keys.pointer} does not say where what was compacted lies") from None


def _history(client: Any) -> str | None:
    """Another one where a server was restarted, or a replica took over; None: it does not tell."""
    try:
        found = client.info("replication").get("master_replid")
    except redis.exceptions.NoPermissionError:  # of who may use keys alone
        return None
    return None if found is None else str(found)


def _parts(client: Any, stream: str, after: int, upto: int) -> Iterator[list[tuple[bytes, _Told]]]:
    """Entries beyond one position and up to another."""
    while after < upto and (part := client.xrange(stream, f"0-{after + 1}", f"0-{upto}", _AT_ONCE)):
        yield part
        after = _id(part[-1][0])[1]


def _end(client: Any, stream: str) -> int:
    """The position of its last entry, 0 where there is none."""
    found = client.xrevrange(stream, count=1)
    return _id(found[0][0])[1] if found else 0


def _line(told: _Told) -> bytes:
    return told.get(b"entry", b"")


def _id(stream_id: bytes) -> tuple[int, int]:
    first, _, second = stream_id.partition(b"-")
    return int(first), int(second)


@contextmanager
def _said() -> Iterator[None]:
    try:
        yield
    except (redis.RedisError, OSError, EntryError) as error:
        raise LogError(f"the log in Redis is not to be had: {error}") from error
