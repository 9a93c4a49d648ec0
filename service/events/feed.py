"""Feed: follows the log of events, and keeps what the next answer has to know of it.

Every process reads all of the log and comes to the same: what a user does is in the next answer,
whichever process gives it.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from sys import intern

from service.events.latest import Latest
from service.events.record import Erased, Event, Merged, Record, Shown
from service.events.transitions import LiveTransitions
from service.events.users import Users
from service.log.log import Entry, Log, LogError, Reader
from service.log.reached import Reached
from service.metrics import Metrics

log = logging.getLogger("bbqrec")
_AT_ONCE = 1000  # records read together
_A_TURN = 100  # applied in one turn of the event loop
_PATIENCE = 0.25  # seconds that one look at the log may last
_PAUSE = 0.5  # seconds until a log that failed is looked at again
_IDS = 2**17  # of events, that are known when they are sent again
_ANSWERS = 2**16  # of which the next page may be asked for


class Feed:
    """``users``, ``answers`` and ``transitions``, as the log says; None: those are not counted."""

    def __init__(
        self, users: Users, metrics: Metrics, transitions: LiveTransitions | None = None
    ) -> None:
        self.users = users
        self.metrics = metrics
        self.answers: Latest[Shown] = Latest(_ANSWERS)
        self.transitions = transitions
        self._seen: Latest[None] = Latest(_IDS)
        self._repeated: Latest[None] = Latest(_IDS)
        self._reached = Reached()
        self._reader: Reader[Record] | None = None
        self._pool = ThreadPoolExecutor(1, "bbqrec-events")
        self._task: asyncio.Task[None] | None = None
        self._caught_up = time.time()
        self._failing = False

    @property
    def position(self) -> int:
        """All records up to it are applied."""
        return self._reached.position

    def replay(self, events: Log[Record]) -> None:
        """Apply all that is in the log; in a thread, while nobody asks for it. Raises LogError."""
        self._reader = events.reader()
        while entries := self._reader.read(_AT_ONCE):
            self._apply(entries)
        self._reached.position = self._reader.position

    def start(self) -> None:
        """Follow."""
        if self._reader is not None:
            self._task = asyncio.create_task(self._follow(self._reader))

    async def close(self) -> None:
        """Follow no more."""
        if self._task is not None:
            self._task.cancel()
        await asyncio.to_thread(self._pool.shutdown)
        if self._reader is not None:
            self._reader.close()

    async def until(self, position: int) -> None:
        """Wait for all records up to this one."""
        await self._reached.until(position)

    def knows(self, event: Event) -> bool:
        """Whether it is applied already."""
        return _key(event) in self._seen

    def repeated(self, position: int) -> bool:
        """Whether the event there was one that had been applied before."""
        return str(position) in self._repeated

    def show(self, shown: Shown) -> None:
        """An answer that goes out now; the log tells of it, too, and that changes nothing more."""
        shown = shown._replace(item_ids=[*map(intern, shown.item_ids)])  # many hold the same
        if self.answers.put(shown.recommendation_id, shown):
            self.users.saw(shown)

    async def _follow(self, reader: Reader[Record]) -> None:
        run = asyncio.get_running_loop().run_in_executor
        while True:
            try:
                entries = await run(self._pool, reader.read, _AT_ONCE, _PATIENCE)
                for first in range(0, len(entries), _A_TURN):
                    part = entries[first : first + _A_TURN]
                    self._apply(part)
                    self._reached.reach(part[-1].position)
                    await asyncio.sleep(0)
                self._reached.reach(reader.position)
                self._well(entries)
            except LogError as error:
                self._failed(error)
                await asyncio.sleep(_PAUSE)
            except Exception:  # this task must not end
                log.exception("events cannot be followed")
                await asyncio.sleep(_PAUSE)

    def _apply(self, entries: Sequence[Entry[Record]]) -> None:
        for position, record in entries:
            match record:
                case Event():
                    if self._seen.put(_key(record), None):
                        self._note(record)
                    else:
                        self._repeated.put(str(position), None)
                case Shown():
                    self.show(record)
                case Erased():
                    self.users.erase(record.user_id)
                case Merged():
                    self.users.merge(record.guest_id, record.user_id)

    def _note(self, event: Event) -> None:
        stepped = self.users.note(event)
        if stepped is not None and self.transitions is not None:
            user, at = stepped
            self.transitions.step(user.items, at, event.time)

    def _well(self, entries: Sequence[Entry[Record]]) -> None:
        if self._failing:
            log.info("the log of events answers again")
        self._failing, self._caught_up = False, time.time()
        self.metrics.events_lag.set(0)
        self.metrics.events_position.set(self.position)

    def _failed(self, error: LogError) -> None:
        if not self._failing:
            log.error("what users do is not heard for now: %s", error)
        self._failing = True
        self.metrics.events_lag.set(time.time() - self._caught_up)


def _key(event: Event) -> str:
    return f"{event.source}\x00{event.id}"
