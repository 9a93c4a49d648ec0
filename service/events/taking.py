"""Events: takes in what people do, keeps it, and knows it in the next answer."""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from service.events.feed import Feed
from service.events.record import Erased, Event, Merged, Record, Shown, Split
from service.events.storekeeper import Storekeeper
from service.log.appender import Appender
from service.log.log import LogError
from service.metrics import Metrics

log = logging.getLogger("bbqrec")
_GATHER = 0.1  # seconds in which answers gather, to be written and read together
_WAITING = 10_000  # answers that wait to be written: beyond so many they are not


class Kept(NamedTuple):
    """What came of events: up to where the log holds them, and which had been sent before."""

    position: int
    repeated: list[Event]


class Events:
    """Of one process: whatever it is told goes to the log first, then to its feed.

    split: who answers now, None where that is not settled. A process writes it, before what was
    shown, when it has changed here and the log does not say so yet: one that is late says nothing.
    """

    def __init__(
        self,
        appender: Appender[Record],
        feed: Feed,
        storekeeper: Storekeeper | None,
        metrics: Metrics,
        impressions: float,
        split: Callable[[], Split | None] = lambda: None,
    ) -> None:
        self.appender = appender
        self.feed = feed
        self.storekeeper = storekeeper
        self.metrics = metrics
        self.impressions = impressions
        self.split = split
        self._split: Split | None = None
        self._shown: list[Record] = []
        self._writing: asyncio.Task[None] | None = None
        self._failing = False

    async def start(self) -> None:
        """Read what is in the log, then follow it. Without the log it begins when that answers."""
        try:
            await asyncio.to_thread(self.feed.replay, self.appender.log)
        except LogError as error:
            log.error("serving without what users did, for now: %s", error)
        self.feed.start()
        if self.storekeeper is not None:
            self.storekeeper.start()

    async def close(self) -> None:
        """Write what waits to be written, and follow no more."""
        if self._writing is not None:
            await self._writing
        if self.storekeeper is not None:
            await self.storekeeper.close()
        await self.feed.close()
        await self.appender.close()

    async def take(self, events: Sequence[Event]) -> Kept:
        """Keep them; they are known to whoever asks this process after. Raises LogError.

        What has been kept before is not kept again.
        """
        fresh: dict[tuple[str, str], Event] = {}
        repeated = []
        for event in events:
            known = self.feed.knows(event) or (event.source, event.id) in fresh
            if known:
                repeated.append(event)
            else:
                fresh[event.source, event.id] = event
        positions = await self._keep([*fresh.values()]) if fresh else []
        for event, position in zip(fresh.values(), positions, strict=True):
            if self.feed.repeated(position):  # another process was faster
                repeated.append(event)
        self.metrics.events.labels("kept").inc(len(events) - len(repeated))
        self.metrics.events.labels("repeated").inc(len(repeated))
        return Kept(positions[-1] if positions else self.feed.position, repeated)

    async def change(self, record: Erased | Merged) -> int:
        """Forget a user, or make a guest one: its position, once it is so. Raises LogError."""
        (position,) = await self._keep([record])
        return position

    def show(self, shown: Shown) -> None:
        """An answer goes out; a share of them is kept, and nobody waits for it."""
        self.feed.show(shown)
        if self.impressions < 1 and random.random() >= self.impressions:
            return
        if len(self._shown) >= _WAITING:
            self.metrics.events.labels("lost").inc()
            return
        self._shown.append(shown)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())

    async def _keep(self, records: Sequence[Record]) -> list[int]:
        """Their positions, once they are known here. What was shown and is not written yet comes
        before them in the log, not after: it may be what they came of, or what is to be forgotten.
        """
        shown, self._shown = self._shown, []
        try:
            positions = await self._append(shown, records)
        except LogError:
            self._shown = [*shown, *self._shown]
            raise
        await self.feed.until(positions[-1])
        return positions

    async def _write(self) -> None:
        while self._shown:
            await asyncio.sleep(_GATHER)
            shown, self._shown = self._shown, []
            if not shown:  # an event that came meanwhile took them along
                break
            try:
                await self._append(shown)
            except LogError as error:
                self.metrics.events.labels("lost").inc(len(shown))
                if not self._failing:
                    log.error("what is recommended is not kept: %s", error)
                self._failing = True
            else:
                self._failing = False
        self._writing = None

    async def _append(self, shown: Sequence[Record], records: Sequence[Record] = ()) -> list[int]:
        """Positions of the records, behind what was shown. Raises LogError."""
        split = self.split()
        before: list[Record] = [*self._changed(split), *shown] if shown else []
        positions = await self.appender.append([*before, *records])
        if shown:
            self.metrics.events.labels("shown").inc(len(shown))
            self._split = split
        return positions[len(before) :]

    def _changed(self, split: Split | None) -> Sequence[Split]:
        outcomes = self.feed.outcomes
        if split is None or outcomes is None or split.alike(self._split):
            return []
        return [] if split.alike(outcomes.split) else [split]
