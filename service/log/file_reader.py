"""Reads a log's file from its beginning, and whatever replaces it."""

import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path
from typing import Generic

from service.log.disk import said, same_file, state
from service.log.framing import frames, marked
from service.log.log import Entry, EntryError, T, pass_over, undecoded

log = logging.getLogger("bbqrec")
_CHUNK = 2**18  # bytes
_AT = re.compile(rb'\{"position":(\d+),')  # as our lines begin
_LOOK = 0.02  # seconds between looks at a file that others may have written to


class FileReader(Generic[T]):
    """One that follows. ``grown`` is told when this process appends."""

    def __init__(
        self, path: Path, decode: Callable[[bytes], Entry[T]], grown: threading.Condition
    ) -> None:
        self.position = 0
        self.damaged = 0
        self.path = path
        self._decode = decode
        self._grown = grown
        self._file: int | None = None
        self._offset = 0
        self._seen = 0  # the last position of the file that is open

    def read(self, most: int, patience: float = 0.0) -> list[Entry[T]]:
        """The next entries. Raises LogError."""
        until = time.monotonic() + patience
        while True:
            before = state(self.path)
            with said(self.path.parent):
                if entries := self._next(most):
                    return entries
            if time.monotonic() >= until:
                return []
            with self._grown:
                if state(self.path) == before:
                    self._grown.wait(_LOOK)

    def ends_before(self, position: int) -> bool:
        """Whether the file does."""
        return self.position < position

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _next(self, most: int) -> list[Entry[T]]:
        while True:
            # What replaces a file is renamed over it while nobody writes: then this is all of it.
            replaced = self._file is None or self._replaced()
            payloads = self._payloads(most)
            if entries := self._entries(payloads):
                return entries
            if payloads:
                continue
            if self._lost():
                self.position = 0
            elif not replaced:
                return []
            if not self._reopened():
                return []

    def _lost(self) -> bool:
        """The whole file ends before what was read: it is another log, from its beginning."""
        lost = self._file is not None and self._seen < self.position and not self._replaced()
        if lost:
            log.error("%s was replaced by another log, which is read from its start", self.path)
        return lost

    def _payloads(self, most: int) -> list[bytes]:
        if self._file is None:
            return []
        for doubling in count():
            content = os.pread(self._file, _CHUNK << doubling, self._offset)
            found = frames(content, most)
            if found.payloads or len(content) < _CHUNK << doubling:
                break
        self._offset += found.used
        if found.damaged:
            self.damaged += found.damaged
            log.error("%d damaged lines of %s were passed over", found.damaged, self.path)
        return found.payloads

    def _entries(self, payloads: Iterable[bytes]) -> list[Entry[T]]:
        """Those after this reader's position."""
        found = []
        for payload in payloads:
            if (mark := marked(payload)) is not None:
                self._advance(mark)
                continue
            if (at := _AT.match(payload)) is not None and int(at[1]) <= self.position:
                self._advance(int(at[1]))  # of a file that was rewritten, most was read before
                continue
            try:
                entry = self._decode(payload)
            except EntryError as error:
                self._pass_over(payload, error)
            else:
                if self._advance(entry.position):
                    found.append(entry)
        return found

    def _pass_over(self, payload: bytes, error: EntryError) -> None:
        try:
            position = undecoded(payload).position
        except EntryError:
            position = self._seen + 1
        if self._advance(position):
            pass_over(position, self.path, error)

    def _advance(self, position: int) -> bool:
        """Up to there; whether that is beyond this reader's position."""
        self._seen = max(self._seen, position)
        beyond = position > self.position
        self.position = max(self.position, position)
        return beyond

    def _replaced(self) -> bool:
        """The path is another file than the one that is open."""
        assert self._file is not None
        try:
            return not same_file(self._file, self.path)
        except FileNotFoundError:
            return False

    def _reopened(self) -> bool:
        self.close()
        self._offset = self._seen = 0
        try:
            self._file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True
