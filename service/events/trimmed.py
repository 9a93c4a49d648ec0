"""What outcomes came to in the part of the log that is trimmed: a file, for who starts after.

It is written before the log is trimmed, by the process that stores: whatever is killed, what is in
the file and what is in the log after its position are everything, once.
"""

import logging
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from pydantic import ValidationError

from models.contract.store import put_in_place
from service.events.feed import IDS
from service.events.forgotten import Forgotten
from service.events.latest import Latest
from service.events.outcomes import Counting, Outcomes, State
from service.events.record import Erased, Event, Merged, Record
from service.log.log import Log

log = logging.getLogger("bbqrec")
_FILE = ".outcomes.json"
_AT_ONCE = 1000


def read(folder: Path) -> State | None:
    """None where nothing has been trimmed, or it is of another release."""
    path = folder / _FILE
    try:
        return State.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        log.error("%s cannot be read, outcomes begin with the log: %s", path, error)
        return None


def count(folder: Path, counting: Counting, events: Log[Record], position: int) -> None:
    """All up to this position, which is about to be trimmed. Raises LogError, OSError."""
    before = read(folder) or State()
    outcomes, seen, forgotten = Outcomes(counting, before), Latest[None](IDS), Forgotten()
    with closing(events.reader()) as reader:
        while entries := reader.read(_AT_ONCE):
            for at, record in entries:
                if forgotten.covers(record):
                    continue
                forgotten.hear(record)
                # Who is forgotten later on is forgotten here, too: no name stays behind.
                named = isinstance(record, Erased | Merged)
                if (_new(record, seen) and before.position < at <= position) or named:
                    outcomes.hear(record)
    _write(folder, outcomes.state(position))


def begin_anew(folder: Path) -> None:
    """The log was: what is counted stays so, and all of the new log comes after it."""
    if (before := read(folder)) is not None:
        _write(folder, before.model_copy(update={"position": 0}))


def _new(record: Record, seen: Latest[None]) -> bool:
    return not isinstance(record, Event) or seen.put(record.key(), None)


def change(folder: Path, counting: Counting, records: Sequence[Record]) -> None:
    """Who is to be forgotten is in this file no more, whenever the log is trimmed next."""
    if (before := read(folder)) is not None:
        outcomes = Outcomes(counting, before)
        for record in records:
            outcomes.hear(record)
        _write(folder, outcomes.state(before.position))


def _write(folder: Path, state: State) -> None:
    partial = folder / f"{_FILE}.partial"
    partial.write_text(state.model_dump_json(), encoding="utf-8")
    put_in_place(partial, folder / _FILE)
