"""Store: events out of the log into Parquet files, which training reads as they are.

What is stored stays in the log for a while, for that is what a process that starts knows users by.
It may be killed at any moment: the next goes on from the position that it wrote down last, and rows
that are there already are not written again.
"""

import hashlib
import logging
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path

from pydantic import ValidationError

from models.contract.store import put_in_place
from service.events import table
from service.events.event_log import open_events
from service.events.forgotten import Forgotten
from service.events.record import Erased, Event, Merged, Record, Shown, decode, encode
from service.events.storing import Progress, Storing
from service.events.table import Table
from service.events.trimmed import Counted
from service.log.log import Entry, EntryError, Log

log = logging.getLogger("bbqrec")
DONE, SHOWN = "done", "shown"
_AT_ONCE = 20_000  # records of a file
_NOTED = 20  # records that are known again, should another log have the place of this one


class Store:
    """Reads the log from where the last one ended."""

    def __init__(self, storing: Storing, events: Log[Record]) -> None:
        self.storing = storing
        self.events = events
        self.done = Table(storing.folder / DONE, ["source", "id"])
        self.shown = Table(storing.folder / SHOWN, ["recommendation_id", "position"])
        self._file = Progress.file(storing.folder)
        self.progress = self._progress()
        self._reader = events.reader()
        self._forgotten = Forgotten()
        counting = storing.counting
        self._counted = None if counting is None else Counted(storing.folder, counting)
        self._trimmed = 0

    def run(self) -> int:
        """Store all that is in the log; how many records. Raises LogError, OSError, PolarsError."""
        count = 0
        while entries := self._next():
            for control, part in groupby(entries, lambda e: isinstance(e.value, Erased | Merged)):
                records = [entry.value for entry in part]
                if control:
                    self._change(records)
                else:
                    self._add(records)
            last = entries[-1]
            self._write(last.position, {**self.progress.noted, last.position: _digest(last)})
            count += len(entries)
        self._trim()
        self._expire()
        return count

    def close(self) -> None:
        """Give back files and connections."""
        self._reader.close()
        self.events.close()

    def _progress(self) -> Progress:
        """Where it cannot be read, all of the log is looked at: rows that are there stay single."""
        try:
            return Progress.read(self.storing.folder)
        except ValidationError as error:
            log.error("%s cannot be read, storing begins with the log: %s", self._file, error)
            return Progress()

    def _next(self) -> list[Entry[Record]]:
        found: list[Entry[Record]] = []
        while len(found) < _AT_ONCE and (entries := self._read()):
            if (other := self._first_other(entries)) is not None:
                self._go_back(other - 1)
                return self._next()
            found += [entry for entry in entries if entry.position > self.progress.position]
        at, last = self._reader.position, self.progress.position
        if not found and at < last and self._reader.ends_before(last):
            self._go_back(at)
            return self._next()
        return found

    def _first_other(self, entries: Sequence[Entry[Record]]) -> int | None:
        """The first position at which something else was stored."""
        noted = self.progress.noted
        known = (entry for entry in entries if entry.position in noted)
        return next((e.position for e in known if noted[e.position] != _digest(e)), None)

    def _read(self) -> list[Entry[Record]]:
        entries = self._reader.read(_AT_ONCE)
        for entry in entries:
            self._forgotten.hear(entry.value)
        if self._counted is not None:
            self._counted.hear(entries)
        return entries

    def _go_back(self, most: int) -> None:
        """To the last record, of those up to ``most``, that is known to be as it was stored."""
        noted = {at: digest for at, digest in self.progress.noted.items() if at <= most}
        position = max(noted, default=0)
        log.error(
            "the log of events is another one behind position %d: stored from there", position
        )
        if self._counted is not None:
            self._counted.go_back(position)
        self._write(position, noted)
        self._reader.close()
        self._reader, self._trimmed = self.events.reader(), 0

    def _add(self, records: Sequence[Record]) -> None:
        events = [record for record in records if isinstance(record, Event)]
        answers = [record for record in records if isinstance(record, Shown)]
        answers = [answer for answer in answers if not self._forgotten.covers(answer)]
        if events:
            self.done.add(table.done(events))
        if answers:
            self.shown.add(table.shown(answers))

    def _change(self, records: Sequence[Record]) -> None:
        if self._counted is not None and self._counted.kept:
            self._counted.keep()  # all of these have been heard: no name stays behind
        for each in (self.done, self.shown):
            for record in records:
                if isinstance(record, Erased):
                    each.forget([record.user_id])
                elif isinstance(record, Merged):
                    each.rename(record.guest_id, record.user_id)

    def _write(self, position: int, noted: Mapping[int, str]) -> None:
        latest = dict(sorted(noted.items())[-_NOTED:])
        self.progress = Progress(position=position, noted=latest)
        partial = self._file.with_suffix(".partial")
        partial.write_text(self.progress.model_dump_json(), encoding="utf-8")
        put_in_place(partial, self._file)

    def _trim(self) -> None:
        """Twice as many records as are to stay have come: forget what is beyond."""
        beyond = self.progress.position - self.storing.keep
        if beyond - self._trimmed >= self.storing.keep:
            if self._counted is not None:
                self._counted.keep()
            self.events.trim(beyond, self.storing.keep, self._lasts)
            self._trimmed = beyond

    def _lasts(self, line: bytes) -> bool:
        """What people did does, and what they were shown does not: that is far more. Nor does what
        is to be forgotten.
        """
        try:
            record = decode(line).value
        except EntryError:
            return False
        return not isinstance(record, Shown) and not self._forgotten.holds(record)

    def _expire(self) -> None:
        """Whole days go, the oldest first, of what was done and of what was shown alike; of the
        last one nothing does for its size.
        """
        dates = sorted(self._dates().items())
        for date, folders in dates:
            large = date != dates[-1][0] and self._are_too_large()
            if not (large or self._is_old(date)):
                break
            for folder in folders:
                shutil.rmtree(folder)

    def _is_old(self, date: str) -> bool:
        if not self.storing.days:
            return False
        oldest = datetime.now(UTC) - timedelta(days=self.storing.days)
        return date < f"date={oldest:%Y-%m-%d}"

    def _are_too_large(self) -> bool:
        if not self.storing.most_bytes:
            return False
        files = [*self.done.files(), *self.shown.files()]
        return sum(file.stat().st_size for file in files) > self.storing.most_bytes

    def _dates(self) -> dict[str, list[Path]]:
        found = defaultdict(list)
        for name in (DONE, SHOWN):
            for folder in (self.storing.folder / name).glob("date=*"):
                found[folder.name].append(folder)
        return found


def _digest(entry: Entry[Record]) -> str:
    return hashlib.blake2b(encode(entry), digest_size=16).hexdigest()


def open_store(storing: Storing) -> Store:
    """With its log, for whoever alone stores: what is half written, nobody will end."""
    store = Store(storing, open_events(storing))
    for each in (store.done, store.shown):
        each.sweep()
    return store
