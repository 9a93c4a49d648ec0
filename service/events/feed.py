"""Feed: follows the log of events, and keeps what the next answer has to know of it.

Every process reads all of the log and comes to the same: what a user does is in the next answer,
whichever process gives it.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from models.contract.live_counts import LiveTransitions
from service.events.forgotten import Forgotten
from service.events.latest import Latest
from service.events.outcomes import Outcomes, State
from service.events.record import Erased, Event, Merged, Record, Shown
from service.events.timely import Timely
from service.events.trend import Groups, Trend
from service.events.users import Page, Users, page
from service.log.log import Entry, Log, LogError, Reader
from service.log.reached import Reached
from service.metrics import Metrics

log = logging.getLogger("bbqrec")
_AT_ONCE = 1000  # records read together
_A_TURN = 100  # applied in one turn of the event loop
_PATIENCE = 0.25  # seconds that one look at the log may last
_PAUSE = 0.5  # seconds until a log that failed is looked at again
IDS = 2**17  # of events, that are known when they are sent again
_ANSWERS = 2**16  # of which the next page may be asked for


class Feed:
    """``users``, ``answers``, ``transitions``, ``trend``, ``groups`` and ``outcomes``, as the log
    says.

    None: those are not counted. trimmed: what outcomes came to in the part that the log lacks.
    """

    def __init__(
        self,
        users: Users,
        metrics: Metrics,
        transitions: LiveTransitions | None = None,
        trend: Trend | None = None,
        outcomes: Outcomes | None = None,
        trimmed: Callable[[], State | None] = lambda: None,
    ) -> None:
        self.users = users
        self.metrics = metrics
        self.answers: Latest[Page] = Latest(_ANSWERS)
        self.transitions, self.trend = transitions, trend
        self.groups: Groups | None = None
        self.outcomes = outcomes
        self.trimmed = trimmed
        self._counted = 0  # position: what is before it is in the outcomes already
        self._resumed = False
        self._seen: Latest[None] = Latest(IDS)
        self._forgotten, self._timely = Forgotten(), Timely()
        self._repeated: Latest[None] = Latest(IDS)
        self._reached = Reached()
        self._reader: Reader[Record] | None = None
        self._pool = ThreadPoolExecutor(1, "bbqrec-events")
        self._task: asyncio.Task[None] | None = None
        self._caught_up = time.monotonic()
        self._failing = False

    @property
    def position(self) -> int:
        """All records up to it are applied."""
        return self._reached.position

    def replay(self, events: Log[Record]) -> None:
        """Apply all that is in the log; in a thread, while nobody asks for it. Raises LogError."""
        reader = self._reader = events.reader()
        while entries := self._read(reader):
            self._apply(entries)
        self._reached.position = reader.position
        self._tell()

    def fade_popularity(self, half_life: float) -> None:
        """As the bundle in service has it: what was counted before and since is to be compared."""
        for each in (self.trend, self.groups):
            if each is not None:
                each.fade_by(half_life)

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
        return event.key() in self._seen

    def repeated(self, position: int) -> bool:
        """Whether the event there was one that had been applied before."""
        return position in self._repeated

    def show(self, shown: Shown) -> None:
        """An answer that goes out now; the log tells of it, too, and that changes nothing more."""
        name = shown.recommendation_id
        if name in self.answers:
            return
        kept = page(shown)
        self.answers.put(name, kept)
        if shown.user_id is not None:
            self.users.saw(shown.user_id, name, kept)

    async def _follow(self, reader: Reader[Record]) -> None:
        run = asyncio.get_running_loop().run_in_executor
        while True:
            try:
                entries = await run(self._pool, self._read, reader, _PATIENCE)
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

    def _read(self, reader: Reader[Record], patience: float = 0.0) -> list[Entry[Record]]:
        """The next records. In a thread, while none are applied."""
        entries = reader.read(_AT_ONCE, patience)
        if not self._resumed:  # after the first read: it may be trimmed meanwhile
            self._resume()
        if self._is_another(reader, entries):
            self._counted = 0  # all of it comes after what is counted
        return entries

    def _is_another(self, reader: Reader[Record], entries: Sequence[Entry[Record]]) -> bool:
        """The log was begun anew since it was read, or since a part of it was counted."""
        if entries:
            return entries[0].position <= self.position
        at, counted = reader.position, self._counted
        return at < self.position or (at < counted and reader.ends_before(counted))

    def _apply(self, entries: Sequence[Entry[Record]]) -> None:
        for entry in entries:
            try:
                self._hear(entry)
            except Exception:  # the others are read, too, and would not come again
                log.exception("event at position %d is not heard", entry.position)

    def _hear(self, entry: Entry[Record]) -> None:
        position, record = entry.position, self._timely.of(entry.value)
        if self._forgotten.covers(record):
            return
        self._forgotten.hear(record)
        match record:
            case Event():
                self._repeated.take(position)  # of another log, that was there before
                if not self._seen.put(record.key(), None):
                    self._repeated.put(position, None)
                    return
                self._note(record)
            case Shown():
                self.show(record)
            case Erased():
                self.users.erase(record.user_id)
            case Merged():
                self.users.merge(record.guest_id, record.user_id)
        if self.outcomes is not None and position > self._counted:
            self.outcomes.hear(record)

    def _note(self, event: Event) -> None:
        stepped = self.users.note(event)
        if stepped is None:
            return
        user, at = stepped
        if self.transitions is not None:
            self.transitions.step(user.items, at, event.time)
        if self.trend is not None:
            self.trend.use(event.item_id, event.time)
        if self.groups is not None and event.context:
            self.groups.use(event.item_id, event.time, event.context)

    def _well(self, entries: Sequence[Entry[Record]]) -> None:
        if self._failing:
            log.info("the log of events answers again")
        self._failing, self._caught_up = False, time.monotonic()
        self.metrics.events_lag.set(0)
        self.metrics.events_position.set(self.position)
        if entries:
            self._tell()

    def _resume(self) -> None:
        if self.outcomes is not None and (state := self.trimmed()) is not None:
            self.outcomes.resume(state)
            self._counted = state.position
        self._resumed = True

    def _tell(self) -> None:
        if self.outcomes is not None:
            self.metrics.tell_outcomes(self.outcomes.counts())

    def _failed(self, error: LogError) -> None:
        if not self._failing:
            log.error("what users do is not heard for now: %s", error)
        self._failing = True
        self.metrics.events_lag.set(time.monotonic() - self._caught_up)
