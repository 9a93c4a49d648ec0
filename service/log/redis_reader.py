"""Reads a log in Redis: what was compacted, what lasts of what was trimmed, then the stream."""

import logging
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeGuard

import redis

from service.log.log import Entry, EntryError, T, pass_over
from service.log.redis_stream import (
    AT_ONCE,
    Compacted,
    Keys,
    Told,
    compacted_at,
    history_of,
    line_of,
    place_of,
    said,
)
from service.log.trail import NOTHING, Trail

log = logging.getLogger("bbqrec")
_TURN = 0.5  # seconds that a blocking read lasts at most


class RedisReader(Generic[T]):
    """Reads what was compacted, then the stream."""

    def __init__(
        self,
        client: Any,
        keys: Keys,
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
            with said():
                self._check()
                if entries := self._next(most, until):
                    return entries
            if self.position == before and time.monotonic() >= until:
                return []

    def ends_before(self, position: int) -> bool:
        """Whether the stream does. Raises LogError."""
        with said():
            return self._last() < position

    def close(self) -> None:
        """Nothing of its own to give back."""

    def _next(self, most: int, until: float) -> list[Entry[T]]:
        self._go_back_if_lost()
        while self._is_behind(compacted := compacted_at(self._client, self._keys)):
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
        if history_of(self._client) != self.history:
            return self._next(most, until)  # whose these are, nobody can tell
        self.position = lines[-1][0]
        self._trail.note(self.position, line_of(lines[-1][1]))
        return [
            Entry(position, entry.value)
            for position, told in lines
            if (entry := self._decoded(line_of(told), position)) is not None
        ]

    def _lasting(self, most: int, upto: float) -> list[tuple[int, Told]]:
        """The next that last of what was trimmed."""
        first, last = f"0-{self.position + 1}", "+" if math.isinf(upto) else f"0-{upto}"
        return self._of_the_log(self._client.xrange(self._keys.lasting, first, last, most))

    def _was_trimmed(self, before: int) -> bool:
        """Just now: what was compacted, or what lasts, has some of what is missing before this."""
        self._behind = bool(self._lasting(1, before))
        return self._behind or self._is_behind(compacted_at(self._client, self._keys))

    def _of_the_log(self, entries: Sequence[tuple[bytes, Told]]) -> list[tuple[int, Told]]:
        """By position. Raises EntryError before what has none: all behind it has none, either, and
        would be read again and again.
        """
        lines = [(place_of(name), told) for name, told in entries]
        ours = [(position, told) for (first, position), told in lines if first == 0]
        if lines and not ours:
            name = entries[0][0].decode()
            raise EntryError(f"{self._keys.stream} holds {name}, which is no entry of a log")
        return ours

    def _is_behind(self, compacted: Compacted | None) -> TypeGuard[Compacted]:
        return compacted is not None and compacted.position > self.position

    def _of_compacted(self, compacted: Compacted) -> list[Entry[T]]:
        """All of it after this reader's position: at once, for it may be replaced meanwhile."""
        lines: list[bytes] = []
        for first in range(0, compacted.entries, AT_ONCE):
            lines += self._client.lrange(compacted.key, first, first + AT_ONCE - 1)
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
        history, last = history_of(self._client), self._last()
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
        return line_of(found[0][1]) if found else NOTHING

    def _last(self) -> float:
        """Where the stream ends; nowhere, where it does with what is no entry of a log."""
        try:
            ends = place_of(self._client.xinfo_stream(self._keys.stream)["last-generated-id"])
        except redis.ResponseError:
            if self._client.exists(self._keys.stream):  # it cannot tell now: that is not empty
                raise
            return 0
        return math.inf if ends[0] else ends[1]
