"""The log as a stream in a Redis that keeps: for replicas on several machines.

Entries are ``0-1``, ``0-2``, ...: the second number is the position. Compaction writes what the
entries came to beside the stream, then points to it and trims the stream in one transaction, then
removes what was pointed to before. So whoever reads finds all of it at any moment, or sees that it
was replaced meanwhile, and reads again.

Of a stream that is trimmed, what lasts moves to a stream of its own, under the names it had.
"""

import logging
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic

from pydantic_core import to_json

from service.log.log import Entry, Kind, LogError, Summary, T, undecoded
from service.log.redis_client import open_redis
from service.log.redis_reader import RedisReader
from service.log.redis_stream import (
    AT_ONCE,
    Compacted,
    Keys,
    compacted_at,
    end_of,
    history_of,
    line_of,
    parts,
    place_of,
    said,
)

log = logging.getLogger("bbqrec")
_TIMEOUT = 2.0  # seconds to connect and to answer
_WORTH = 10_000  # entries: a shorter stream is not compacted
_COMPACTING = 600  # seconds after which a compaction counts as dead


class RedisLog(Generic[T]):
    """A stream. Nothing is asked before it is used: Redis may come later."""

    def __init__(self, url: str, kind: Kind[T], worth: int = _WORTH) -> None:
        self.kind = kind
        self.keys = Keys.of(kind.key)
        self.worth = worth
        self.client = open_redis(url, _TIMEOUT)
        self._keeps = False
        self._looking = threading.Lock()

    def append(self, values: Sequence[T]) -> list[int]:
        """In one transaction. Raises LogError."""
        with said():
            self._check()
            with self.client.pipeline(transaction=True) as pipeline:
                for value in values:
                    # The position is Redis's to give: it is read off the stream.
                    line = self.kind.encode(Entry(0, value))
                    pipeline.xadd(self.keys.stream, {"entry": line}, id="0-*")
                return [place_of(found)[1] for found in pipeline.execute()]

    def reader(self) -> "RedisReader[T]":
        """One at position 0."""
        return RedisReader(self.client, self.keys, self.kind.decode, self._check)

    def compact_if_due(self) -> bool:
        """Where the stream is long, and no other replica is at it."""
        if self.kind.summary is None:
            return False
        with said():
            compacted = compacted_at(self.client, self.keys)
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
        with said(), self._alone() as alone:
            if not alone:
                return
            stream, lasting = self.keys.stream, self.keys.lasting
            for part in parts(self.client, lasting, 0, position):
                if gone := [name for name, told in part if not lasts(line_of(told))]:
                    self.client.xdel(lasting, *gone)
            for part in parts(self.client, stream, end_of(self.client, lasting), position):
                with self.client.pipeline() as pipeline:
                    for name, told in part:
                        if lasts(line_of(told)):
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

    def _compact(self, before: Compacted | None, summary: Summary[T]) -> None:
        # As they are: what is of another release is not passed over here, it would be gone.
        reader = RedisReader(self.client, self.keys, undecoded, self._check)
        while entries := reader.read(AT_ONCE):
            for position, line in entries:
                summary.apply(Entry(position, self.kind.decode(line).value))
        lines = [self.kind.encode(entry) for entry in summary.entries()]
        made = Compacted(reader.position, len(lines), f"{self.keys.pointer}:{uuid.uuid4().hex}")
        for first in range(0, len(lines), AT_ONCE):
            self.client.rpush(made.key, *lines[first : first + AT_ONCE])
        with self.client.pipeline(transaction=True) as pipeline:
            pipeline.watch(self.keys.pointer)
            now = compacted_at(pipeline, self.keys)
            # Another replica was faster, or another server has taken over: what was read may not
            # be what is there.
            if now != before or history_of(pipeline) != reader.history:
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
