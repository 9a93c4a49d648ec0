"""LiveFollower: keeps a generation's live items as the log of changes says.

Reading and encoding are done in threads of its own; what they come to is applied in the event loop,
between two requests.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from models.contract.intake import IntakeAwayError, IntakeError, Taken
from service.catalogue.change import Change
from service.catalogue.live_items import Applied, LiveItems
from service.catalogue.taking import Taking, Wanted
from service.log.log import Entry, Log, LogError, Reader
from service.log.reached import Reached
from service.metrics import Metrics
from service.retrieval.live import Live

log = logging.getLogger("bbqrec")
_AT_ONCE = 256  # entries: encoded together, and applied in one turn of the event loop
_PATIENCE = 0.25  # seconds that one look at the log may last
_PAUSE = 0.5  # seconds until a log that failed is looked at again
_TRIES = 3  # to encode what was read together, before each is encoded alone
_REMEMBERED = 2**16  # outcomes of late changes, for those who wrote them
_Rows = Sequence[Taken | IntakeError | None]


class LiveFollower:
    """One a generation."""

    def __init__(self, items: LiveItems, taking: Taking, metrics: Metrics) -> None:
        self.items = items
        self.taking = taking
        self.metrics = metrics
        self._reached = Reached()
        self._reader: Reader[Change] | None = None
        self._pool = ThreadPoolExecutor(1, "bbqrec-live")
        self._task: asyncio.Task[None] | None = None
        self._outcomes: dict[int, Applied] = {}
        self._counts: Counter[tuple[str, Applied]] = Counter()
        self._caught_up = time.monotonic()
        self._counted: Live | None = None  # what the metrics tell of
        self._failing = False

    @property
    def position(self) -> int:
        """All entries up to it are applied."""
        return self._reached.position

    def replay(self, changes: Log[Change]) -> None:
        """Apply all that is in the log; in a thread, while nobody else knows of this generation.

        Raises LogError; what was read until then is applied, and ``start`` goes on from there.
        """
        reader = self._reader = changes.reader()
        try:
            while entries := reader.read(_AT_ONCE):
                for part in _parts(entries):
                    self._apply(part, self._somehow(part))
                self._reached.position = reader.position
        except IntakeAwayError as error:
            reader.close()
            self._reader = changes.reader()  # what was read, and is not applied, comes again
            raise LogError(str(error)) from error

    async def start(self) -> None:
        """Follow, if there is a log."""
        if self._reader is not None:
            self._task = asyncio.create_task(self._follow(self._reader))

    async def close(self) -> None:
        """Follow no more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None  # how it ended holds this, in a circle
        await asyncio.to_thread(self._close)

    async def take(self, wanted: Sequence[Wanted]) -> list[Taken]:
        """Encode what is about to be written: it is at hand when it comes from the log.

        Raises IntakeError or IntakeAwayError.
        """
        return await asyncio.to_thread(self.taking.take, wanted)

    def outcome(self, position: int) -> Applied:
        """What came of a late change that is applied here.

        Of one that was compacted first it is not known: another has come after it.
        """
        return self._outcomes.get(position, "applied")

    async def until(self, position: int) -> None:
        """Wait for all changes up to this position."""
        await self._reached.until(position)

    async def _follow(self, reader: Reader[Change]) -> None:
        run = asyncio.get_running_loop().run_in_executor
        left: Sequence[Entry[Change]] = ()  # read, and not applied yet: the reader is beyond them
        tried = 0
        while True:
            try:
                taken: _Rows = ()
                if not left:
                    left, taken = await run(self._pool, self._read, reader)
                entries = left
                while left:
                    part, take = left[:_AT_ONCE], self._taken if tried < _TRIES else self._alone
                    self._apply(part, taken or await run(self._pool, take, part))
                    self._reached.reach(part[-1].position)
                    left, taken, tried = left[_AT_ONCE:], (), 0
                self._reached.reach(reader.position)
                self._well(entries)
            except (LogError, IntakeAwayError) as error:
                self._failed(error)
                await asyncio.sleep(_PAUSE)
            except Exception:  # whatever an encoder makes of an item: this task must not end
                log.exception("live items cannot be followed")
                tried += 1
                await asyncio.sleep(_PAUSE)

    def _read(self, reader: Reader[Change]) -> tuple[Sequence[Entry[Change]], _Rows]:
        """The next entries, and rows for the first part of them: who writes waits for both."""
        entries = reader.read(_AT_ONCE, _PATIENCE)
        try:
            return entries, self._taken(entries[:_AT_ONCE])
        except IntakeAwayError:  # so it is when they are tried again, which says so
            return entries, ()
        except Exception:  # they are read, and must not be lost: they are tried again
            log.exception("live items cannot be taken in")
            return entries, ()

    def _taken(self, entries: Sequence[Entry[Change]]) -> _Rows:
        """Of each, where it is wanted. In a thread."""
        changes = [entry.value for entry in entries]
        wanted = [c for c in changes if c.content is not None and self.items.wants(c)]
        named = [Wanted(c.item_id, c.content) for c in wanted if c.content is not None]
        found = dict(zip(map(id, wanted), self.taking.each(named), strict=True))
        self.taking.forget([change.item_id for change in changes if change.kind == "delete"])
        return [found.get(id(change)) for change in changes]

    def _somehow(self, entries: Sequence[Entry[Change]]) -> _Rows:
        """Nothing in the log keeps a generation from its service."""
        try:
            return self._taken(entries)
        except IntakeAwayError:
            raise
        except Exception:  # whatever an encoder makes of an item
            return self._alone(entries)

    def _alone(self, entries: Sequence[Entry[Change]]) -> _Rows:
        """Each by itself: what no try could encode keeps none of the others from being taken in."""
        return [self._one(entry) for entry in entries]

    def _one(self, entry: Entry[Change]) -> Taken | IntakeError | None:
        try:
            return self._taken([entry])[0]
        except IntakeAwayError:
            raise
        except Exception as error:
            log.exception("live item %r cannot be taken in", entry.value.item_id)
            return IntakeError("body", f"cannot be taken in: {error!r}")

    def _apply(self, entries: Sequence[Entry[Change]], taken: _Rows) -> None:
        for entry, row in zip(entries, taken, strict=True):
            outcome = self._applied(entry, row)
            self._counts[entry.value.kind, outcome] += 1
            self._outcomes.pop(entry.position, None)  # of another log, that was there before
            if outcome != "applied":
                self._outcomes[entry.position] = outcome
            if outcome == "refused":
                reason = self.items.refused[entry.value.item_id]
                log.error("live item %r cannot be taken in: %s", entry.value.item_id, reason)
        while len(self._outcomes) > _REMEMBERED:
            del self._outcomes[next(iter(self._outcomes))]
        for labels, count in self._counts.items():
            self.metrics.live_changes.labels(*labels).inc(count)
        self._counts.clear()
        self.items.publish()

    def _applied(self, entry: Entry[Change], row: Taken | IntakeError | None) -> Applied:
        """What cannot be applied is refused: the others are read, too, and would not come again."""
        try:
            return self.items.apply(entry, row)
        except Exception as error:
            log.exception("a change of live item %r cannot be applied", entry.value.item_id)
            self.items.refused[entry.value.item_id] = repr(error)
            return "refused"

    def _well(self, entries: Sequence[Entry[Change]]) -> None:
        if self._failing:
            log.info("the log of changes answers again")
        self._failing = False
        self.metrics.log_position.set(self.position)
        if entries:
            self.metrics.log_lag.set(max(0.0, time.time() - entries[-1].value.time))
            return
        self._caught_up = time.monotonic()
        self.metrics.log_lag.set(0)
        if self._counted is not self.items.live:  # only now: every row is looked at
            self._counted = self.items.live
            live, gone = self.items.counts()
            self.metrics.live_rows.set(live)
            self.metrics.gone_rows.set(gone)

    def _failed(self, error: LogError | IntakeAwayError) -> None:
        if not self._failing:
            log.error("live items stay as they are: %s", error)
        self._failing = True
        self.metrics.log_lag.set(time.monotonic() - self._caught_up)

    def _close(self) -> None:
        self._pool.shutdown()
        self.taking.close()
        if self._reader is not None:
            self._reader.close()


def _parts(entries: Sequence[Entry[Change]]) -> Iterator[Sequence[Entry[Change]]]:
    """A log that was compacted gives all of it at once."""
    return (entries[first : first + _AT_ONCE] for first in range(0, len(entries), _AT_ONCE))
