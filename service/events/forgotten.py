"""Forgotten: who was, and when, for what was shown before that and is written after it.

Answers wait a moment to be written. The process that is told to forget a user writes its own first;
those of other processes come later.
"""

from service.events.latest import Latest
from service.events.record import Erased, Event, Record, Shown

_MOST = 2**14  # users: of longer ago nothing waits to be written


class Forgotten:
    """As records of the log say, in its order."""

    def __init__(self) -> None:
        self._when: Latest[float] = Latest(_MOST)

    def hear(self, record: Record) -> None:
        """The next record."""
        if isinstance(record, Erased):
            self._when.put(record.user_id, record.time)

    def covers(self, record: Record) -> bool:
        """Whether it is what somebody was shown before they were forgotten."""
        return isinstance(record, Shown) and self.holds(record)

    def holds(self, record: Record) -> bool:
        """Whether it is of somebody before they were forgotten."""
        if not isinstance(record, Shown | Event) or record.user_id is None:
            return False
        when = self._when.get(record.user_id)
        return when is not None and record.time <= when
