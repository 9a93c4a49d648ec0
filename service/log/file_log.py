"""The log as a file: every process of one machine appends to it and follows it.

A write is on disk before it is acknowledged. Who dies while writing leaves half a line at the end,
which no reader takes and the next writer cuts off. Compaction writes another file beside it and
renames it over: who has the old one open reads it to its end, and goes on in the new one.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO, Generic

from models.contract.store import put_in_place
from service.log.disk import held, said, state
from service.log.file_reader import FileReader
from service.log.file_tail import Tail
from service.log.framing import frame, mark
from service.log.log import Entry, EntryError, Kind, LogError, Summary, T, undecoded

log = logging.getLogger("bbqrec")
_WORTH = 4 * 2**20  # bytes: a smaller file is not compacted
_AT_ONCE = 1000


class FileLog(Generic[T]):
    """A file in a folder of its own."""

    def __init__(self, folder: Path, kind: Kind[T], worth: int = _WORTH) -> None:
        self.folder = folder
        self.kind = kind
        self.path = folder / kind.file
        self.worth = worth
        self.grown = threading.Condition()  # this process has appended
        self._thread = threading.Lock()  # a file's lock is the process's, not the thread's
        self._tail = Tail(self.path)

    def append(self, values: Sequence[T]) -> list[int]:
        """Write and sync them together. Raises LogError; then some of them may have been kept."""
        with self._locked(), said(self.folder):
            first = self._tail.catch_up() + 1
            positions = list(range(first, first + len(values)))
            entries = map(Entry, positions, values)
            self._tail.write(b"".join(frame(self.kind.encode(entry)) for entry in entries))
        with self.grown:
            self.grown.notify_all()
        return positions

    def reader(self) -> FileReader[T]:
        """One at position 0."""
        return FileReader(self.path, self.kind.decode, self.grown)

    def compact_if_due(self) -> bool:
        """Where it has doubled since, and nobody else is at it; writers wait for the rename."""
        size = (state(self.path) or (0, 0))[1]
        if self.kind.summary is None or size < self.worth:
            return False
        with held(self.folder / "compacting", wait=False) as mine:
            if not mine or size < 2 * self._compacted_bytes():
                return False
            self._compact(self.kind.summary())
        return True

    def trim(self, position: int, most: int, lasts: Callable[[bytes], bool]) -> None:
        """Of the entries up to this one, forget all but the latest ``most`` that last; writers wait
        for the rename.
        """
        with held(self.folder / "compacting"), closing(self._lines()) as reader:
            lasting: deque[bytes] = deque(maxlen=most)
            beyond: list[bytes] = []
            while not beyond and (entries := reader.read(_AT_ONCE)):
                lasting += (line for at, line in entries if at <= position and lasts(line))
                beyond = [line for at, line in entries if at > position]
            upto = min(position, reader.position)
            self._replace([*lasting, mark(upto), *beyond], reader)

    def close(self) -> None:
        """Close the file."""
        self._tail.close()

    def _compacted_bytes(self) -> int:
        with self._locked():
            self._tail.catch_up()
            return self._tail.compacted_bytes

    def _compact(self, summary: Summary[T]) -> None:
        with closing(self._lines()) as reader:
            while entries := reader.read(_AT_ONCE):
                for _, line in entries:
                    summary.apply(self._decoded(line))
            lines = map(self.kind.encode, summary.entries())
            self._replace([*lines, mark(reader.position)], reader)
            log.info("%s was compacted up to position %d", self.path, reader.position)

    def _decoded(self, line: bytes) -> Entry[T]:
        try:
            return self.kind.decode(line)
        except EntryError as error:  # whoever can read it still has to find it
            raise LogError(f"{self.path} holds what is of another release: {error}") from error

    def _lines(self) -> FileReader[bytes]:
        """Reads entries as they are: what rewrites the file keeps those of another release."""
        return FileReader(self.path, undecoded, self.grown)

    def _replace(self, lines: Iterable[bytes], reader: FileReader[bytes]) -> None:
        """These lines, and what the reader has not given yet, are the file from now on."""
        partial = self.path.with_suffix(".partial")
        with said(self.folder):
            try:
                with partial.open("wb") as file:
                    file.writelines(map(frame, lines))
                    self._copy(reader, file)
                    with self._locked():
                        self._copy(reader, file)  # what came meanwhile
                        file.flush()
                        put_in_place(partial, self.path)
            finally:
                partial.unlink(missing_ok=True)  # it would take the room that entries need

    def _copy(self, reader: FileReader[bytes], file: BinaryIO) -> None:
        while entries := reader.read(_AT_ONCE):
            file.writelines(frame(line) for _, line in entries)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._thread, held(self.folder / "lock"):
            with said(self.folder):
                self._tail.open()
            yield
