"""What outcomes came to in the part of the log that is trimmed: a file, for who starts after.

It is written before the log is trimmed, by the process that stores: whatever is killed, what is in
the file and what is in the log after its position are everything, once.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from models.contract.store import put_in_place
from service.events.feed import IDS
from service.events.forgotten import Forgotten
from service.events.latest import Latest
from service.events.outcomes import Counting, Outcomes, State
from service.events.record import Event, Record
from service.events.timely import Timely
from service.log.log import Entry

log = logging.getLogger("bbqrec")
_FILE = ".outcomes.json"


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


class Counted:
    """Outcomes of all of the log that the process that stores has read, and up to where that is.

    Ahead of what is trimmed: who is forgotten is in the file no more, and yet was there when what
    came before that was counted, as in every process that was there from the start.
    """

    def __init__(self, folder: Path, counting: Counting) -> None:
        before = read(folder)
        self.folder = folder
        self.kept = before is not None  # a file that may name somebody
        self.position = before.position if before else 0
        self.outcomes = Outcomes(counting, before)
        self._begin()

    def hear(self, entries: Sequence[Entry[Record]]) -> None:
        """The next of the log, read from its beginning."""
        for at, told in entries:
            record = self._timely.of(told)
            fresh, self.position = at > self.position, max(at, self.position)
            if self._forgotten.covers(record):
                continue
            self._forgotten.hear(record)
            if self._is_new(record) and fresh:
                self.outcomes.hear(record)

    def keep(self) -> None:
        """For who starts from now on. Raises OSError."""
        state = self.outcomes.state(self.position)
        partial = self.folder / f"{_FILE}.partial"
        partial.write_text(state.model_dump_json(), encoding="utf-8")
        put_in_place(partial, self.folder / _FILE)
        self.kept = True

    def go_back(self, position: int) -> None:
        """The log is another one from there on: what is counted stays so, and what is there now
        comes after it.
        """
        self.position = min(self.position, position)
        self._begin()
        self.keep()

    def _begin(self) -> None:
        self._seen, self._forgotten, self._timely = Latest[None](IDS), Forgotten(), Timely()

    def _is_new(self, record: Record) -> bool:
        return not isinstance(record, Event) or self._seen.put(record.key(), None)
