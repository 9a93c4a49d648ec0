"""The log as a stream in a Redis that keeps: for replicas on several machines.

Entries are ``0-1``, ``0-2``, ...: the second number is the position. Compaction writes what the
entries came to beside the stream, then points to it and trims the stream in one transaction, then
removes what was pointed to before. So whoever reads finds all of it at any moment, or sees that it
was replaced meanwhile, and reads again.
"""

import logging
import math
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeGuard

import redis
from pydantic_core import from_json, to_json
from redis.backoff import NoBackoff
from redis.retry import Retry

from service.catalogue.change import Change, Entry, EntryError, decode, encode
from service.catalogue.change_log import LogError
from service.catalogue.fold import Fold

log = logging.getLogger("bbqrec")
_TIMEOUT = 2.0  # seconds to connect and to answer
_AT_ONCE = 500
_WORTH = 10_000  # entries: a shorter stream is not compacted
_TURN = 0.5  # seconds that a blocking read lasts at most
_COMPACTING = 600  # seconds after which a compaction counts as dead
_STREAM, _POINTER, _LOCK = "bbqrec:log", "bbqrec:log:compacted", "bbqrec:log:compacting"


class _Compacted(NamedTuple):
    """Where what was compacted lies, and up to which position it goes."""

    position: int
    entries: int
    key: str


class RedisLog:
    """The stream ``bbqrec:log``. Nothing is asked before it is used: Redis may come later."""

    def __init__(self, url: str, worth: int = _WORTH) -> None:
        self.worth = worth
        self.client: Any = redis.Redis.from_url(
            url, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT,
            retry=Retry(NoBackoff(), 0), health_check_interval=0,
        )  # fmt: skip
        self._keeps = False
        self._looking = threading.Lock()

    def append(self, changes: Sequence[Change]) -> list[int]:
        """In one transaction. Raises LogError."""
        with _said():
            self._check()
            with self.client.pipeline(transaction=True) as pipeline:
                for change in changes:
                    # The position is Redis's to give: it is read off the stream.
                    pipeline.xadd(_STREAM, {"entry": encode(Entry(0, change))}, id="0-*")
                return [_position(found) for found in pipeline.execute()]

    def reader(self) -> "RedisReader":
        """One at position 0."""
        return RedisReader(self.client, self._check)

    def compact_if_due(self) -> bool:
        """Where the stream is long, and no other replica is at it."""
        with _said():
            compacted = _compacted(self.client)
            due = max(self.worth, compacted.entries if compacted else 0)
            if self.client.xlen(_STREAM) < due:
                return False
            mine = uuid.uuid4().hex
            if not self.client.set(_LOCK, mine, nx=True, ex=_COMPACTING):
                return False
            try:
                self._compact(compacted)
            finally:
                if self.client.get(_LOCK) == mine.encode():
                    self.client.delete(_LOCK)
        return True

    def close(self) -> None:
        """Disconnect."""
        self.client.close()

    def _compact(self, before: _Compacted | None) -> None:
        reader, fold = self.reader(), Fold()
        while entries := reader.read(_AT_ONCE):
            for entry in entries:
                fold.apply(entry)
        lines = [encode(entry) for entry in fold.entries()]
        made = _Compacted(reader.position, len(lines), f"{_POINTER}:{uuid.uuid4().hex}")
        for first in range(0, len(lines), _AT_ONCE):
            self.client.rpush(made.key, *lines[first : first + _AT_ONCE])
        with self.client.pipeline(transaction=True) as pipeline:
            pipeline.watch(_POINTER)
            now = _compacted(pipeline)
            if now != before:  # another replica was faster
                self.client.delete(made.key)
                return
            pipeline.multi()
            pipeline.set(_POINTER, to_json(made._asdict()))
            pipeline.xtrim(_STREAM, minid=f"0-{made.position + 1}", approximate=False)
            pipeline.execute()
        if before is not None:
            self.client.delete(before.key)
        log.info("the log of changes was compacted up to position %d", made.position)

    def _check(self) -> None:
        """Raises LogError for a Redis that may drop what it was given, or cannot count."""
        with self._looking:
            if self._keeps:
                return
            found = self.client.info()
            if int(str(found.get("redis_version", "0")).split(".")[0]) < 7:
                raise LogError("the log of changes needs Redis 7 or newer")
            policy = found.get("maxmemory_policy", "noeviction")
            if policy.startswith("allkeys"):
                raise LogError(
                    f"the log of changes needs a Redis that keeps: its policy is {policy}, set "
                    "noeviction, or give BBQREC_LOG_URL another one than the cache's"
                )
            if not found.get("aof_enabled"):
                log.warning(
                    "the Redis of BBQREC_LOG_URL loses changes when it stops: set appendonly yes"
                )
            self._keeps = True


class RedisReader:
    """Reads what was compacted, then the stream."""

    def __init__(self, client: Any, check: Callable[[], None]) -> None:
        self.position = 0
        self._client = client
        self._check = check

    def read(self, most: int, patience: float = 0.0) -> list[Entry]:
        """The next entries. Raises LogError."""
        until = time.monotonic() + patience
        while True:
            with _said():
                self._check()
                if entries := self._next(most, until):
                    return entries
            if time.monotonic() >= until:
                return []

    def close(self) -> None:
        """Nothing of its own to give back."""

    def _next(self, most: int, until: float) -> list[Entry]:
        self._begin_anew_if_lost()
        while self._is_behind(compacted := _compacted(self._client)):
            if entries := self._of_compacted(compacted):
                return entries
        wait = min(_TURN, until - time.monotonic())
        block = math.ceil(1000 * wait) if wait > 0 else None
        found = self._client.xread({_STREAM: f"0-{self.position}"}, most, block)
        entries = [_entry(*pair) for _, pairs in found for pair in pairs]
        if not entries:
            return []
        if entries[0].position != self.position + 1 and self._is_behind(_compacted(self._client)):
            return self._next(most, until)  # trimmed this moment: what was compacted has the rest
        self.position = entries[-1].position
        return entries

    def _is_behind(self, compacted: _Compacted | None) -> TypeGuard[_Compacted]:
        return compacted is not None and compacted.position > self.position

    def _of_compacted(self, compacted: _Compacted) -> list[Entry]:
        """All of it after this reader's position: at once, for it may be replaced meanwhile."""
        lines: list[bytes] = []
        for first in range(0, compacted.entries, _AT_ONCE):
            lines += self._client.lrange(compacted.key, first, first + _AT_ONCE - 1)
        if len(lines) < compacted.entries:  # replaced by another
            return []
        entries = [entry for entry in map(decode, lines) if entry.position > self.position]
        self.position = compacted.position
        return entries

    def _begin_anew_if_lost(self) -> None:
        """The stream ends before what was read: somebody emptied this Redis."""
        if not self.position:
            return
        try:
            last = _position(self._client.xinfo_stream(_STREAM)["last-generated-id"])
        except redis.ResponseError:  # there is no stream
            last = 0
        if last < self.position:
            log.error("the log of changes in Redis was emptied; it is read from its start")
            self.position = 0


def _compacted(client: Any) -> _Compacted | None:
    found = client.get(_POINTER)
    return None if found is None else _Compacted(**from_json(found))


def _entry(stream_id: bytes, fields: dict[bytes, bytes]) -> Entry:
    try:
        return Entry(_position(stream_id), decode(fields[b"entry"]).change)
    except KeyError as error:
        raise EntryError("no entry of the log") from error


def _position(stream_id: bytes) -> int:
    return int(stream_id.partition(b"-")[2])


@contextmanager
def _said() -> Iterator[None]:
    try:
        yield
    except (redis.RedisError, OSError, EntryError) as error:
        raise LogError(f"the log of changes in Redis is not to be had: {error}") from error
