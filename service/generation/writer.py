"""Writer: changes of the catalogue, kept in the log and applied here before it answers."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from models.contract.intake import IntakeAwayError, IntakeError, Taken
from service.catalogue.change import Change
from service.catalogue.fold import Outcome
from service.catalogue.live_items import Item, LiveItems
from service.catalogue.taking import Wanted
from service.generation.generation import Generation
from service.generation.registry import Registry
from service.log.appender import Appender
from service.log.log import LogError


class StaleError(Exception):
    """Another change of this item has this version, or a later one."""


class UnknownItemError(Exception):
    """There is no such item, or no more."""


class NotAppliedError(Exception):
    """The change is kept, and will be applied; here it is not yet."""


class Written(NamedTuple):
    """Where a change is in the log, and what became of its item: None where it was deleted."""

    position: int
    item: Item | None


Result = (
    Written
    | StaleError
    | UnknownItemError
    | NotAppliedError
    | IntakeError
    | IntakeAwayError
    | LogError
)

_Row = Taken | IntakeError | IntakeAwayError


class Writer:
    """Writes with the log of one process, and with whatever generation is in service."""

    def __init__(self, appender: Appender[Change], registry: Registry, patience: float) -> None:
        self.appender = appender
        self.registry = registry
        self.patience = patience  # seconds to be applied within

    async def write(self, changes: Sequence[Change]) -> list[Result]:
        """What came of each. One that fails keeps no other from being written.

        After it, whoever asks this process finds them applied, by whatever generation.
        """
        async with self.registry.lease_current() as generation:
            results = [_refused(generation.live.items, change) for change in changes]
            await self._take(generation, changes, results)
            left = [n for n, result in enumerate(results) if result is None]
            try:
                positions = await self.appender.append([changes[n] for n in left]) if left else []
            except LogError as error:
                results = [error if result is None else result for result in results]
            else:
                await self._reach(generation, max(positions, default=0))
                for n, position in zip(left, positions, strict=True):
                    results[n] = await _outcome(generation, changes[n], position)
        return [result for result in results if result is not None]

    async def _take(
        self, generation: Generation, changes: Sequence[Change], results: list[Result | None]
    ) -> None:
        """Encode what is put, together or else each by itself; what cannot be is not written."""
        puts = [n for n, c in enumerate(changes) if c.content is not None and results[n] is None]
        wanted = [Wanted(c.item_id, c.content) for c in map(changes.__getitem__, puts) if c.content]
        for n, taken in zip(puts, await _taken(generation, wanted), strict=True):
            if isinstance(taken, IntakeError | IntakeAwayError):
                results[n] = taken

    async def _reach(self, leased: Generation, position: int) -> None:
        """Every generation that may answer the next request, and the one that answers this."""
        try:
            async with asyncio.timeout(self.patience):
                for generation in (leased, *self.registry.roles().values()):
                    await generation.live.until(position)
        except TimeoutError:
            return  # each change says so itself


async def _outcome(generation: Generation, change: Change, position: int) -> Result:
    live = generation.live
    if live.position < position:
        return NotAppliedError(f"kept at position {position}, and not applied here yet")
    if (outcome := live.outcome(position)) == "refused":
        return IntakeError("body", live.items.refused.get(change.item_id, "cannot be taken in"))
    return _fault(live.items, change, outcome) or Written(position, live.items.item(change.item_id))


def _refused(items: LiveItems, change: Change) -> Result | None:
    """Why a change need not be written at all."""
    if change.kind != "put" and items.item(change.item_id) is None:
        return UnknownItemError(f"there is no item {change.item_id!r}")
    return _fault(items, change, items.mark(change.item_id).verdict(change))


def _fault(items: LiveItems, change: Change, outcome: Outcome) -> Result | None:
    if outcome == "stale":
        version = items.mark(change.item_id).version
        return StaleError(f"version {change.version} is not later than {version}, which is there")
    if outcome == "deleted":
        return UnknownItemError(f"item {change.item_id!r} is deleted")
    return None


async def _taken(generation: Generation, wanted: Sequence[Wanted]) -> Sequence[_Row]:
    if not wanted:
        return []
    try:
        return await generation.live.take(wanted)
    except IntakeAwayError as error:
        return [error] * len(wanted)
    except IntakeError as error:
        if len(wanted) == 1:
            return [error]
    return [row for one in wanted for row in await _taken(generation, [one])]
