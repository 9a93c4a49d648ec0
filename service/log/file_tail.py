"""The end of a log's file, for whoever holds its lock."""

import logging
import os
from pathlib import Path

from models.contract.store import to_disk
from service.log.disk import same_file
from service.log.framing import frames, marked
from service.log.log import EntryError, undecoded

log = logging.getLogger("bbqrec")
_CHUNK = 2**18  # bytes


class Tail:
    """Knows where it ends, and which position that is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.compacted_bytes = 0
        self._file: int | None = None
        self._end = 0  # bytes that are known to be whole
        self._last = 0  # position there

    def open(self) -> None:
        """The file that the path is now."""
        if self._file is not None and not self._replaced():
            return
        self.close()
        created = not self.path.exists()
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._end = self._last = self.compacted_bytes = 0
        if created:
            to_disk(self.path.parent)

    def catch_up(self) -> int:
        """The last position; what was torn at the end is cut off."""
        assert self._file is not None
        size = _CHUNK
        while content := os.pread(self._file, size, self._end):
            found = frames(content, len(content))
            if not found.used and len(content) == size:
                size *= 2
                continue
            self._pass(content, found.payloads, found.used)
            if not found.used:
                log.warning("%d bytes of a torn write are cut off %s", len(content), self.path)
                os.ftruncate(self._file, self._end)
        return self._last

    def write(self, lines: bytes) -> None:
        """Append and sync. Raises OSError; then whole lines of it stay, for readers may have them.

        Where it ends is read off the file next time: it is what is there, not what was meant.
        """
        assert self._file is not None
        written = 0
        while written < len(lines):
            written += os.pwrite(self._file, lines[written:], self._end + written)
        os.fdatasync(self._file)

    def close(self) -> None:
        """Close it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _pass(self, content: bytes, payloads: list[bytes], used: int) -> None:
        for payload in payloads:
            if marked(payload) is not None:
                self.compacted_bytes = self._end + used
        for after, payload in enumerate(reversed(payloads)):
            if (found := _position(payload)) is not None:
                self._last = found + after
                break
        else:
            self._last += len(payloads)
        self._end += used

    def _replaced(self) -> bool:
        assert self._file is not None
        try:
            return not same_file(self._file, self.path)
        except FileNotFoundError:
            return True


def _position(payload: bytes) -> int | None:
    """None of what says none: no release wrote it, and readers count it as the next."""
    if (found := marked(payload)) is not None:
        return found
    try:
        return undecoded(payload).position
    except EntryError:
        return None
