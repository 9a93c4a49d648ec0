"""The shadow: answers what was asked, too, and is only compared."""

import asyncio
import logging

from service.generation.generation import Generation
from service.generation.recommender import Query, Recommendation
from service.metrics import Metrics

log = logging.getLogger("bbqrec")
COMPARED = 10  # answers
_AT_ONCE = 32  # comparisons under way; beyond, requests are left out, and counted


class Shadow:
    """Compares the answers of a shadow with those that were given."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self._tasks: set[asyncio.Task[None]] = set()

    def compare(
        self, shadow: Generation, query: Query, given: Recommendation, by: Generation
    ) -> None:
        """Later, in the background: nobody waits for it, and no fault of it reaches anybody."""
        if len(self._tasks) >= _AT_ONCE:
            self.metrics.shadow_skipped.inc()
            return
        ids = _ids(by, given)
        task = asyncio.create_task(self._agreement(shadow, query, ids))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settle(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._tasks)

    async def _agreement(self, shadow: Generation, query: Query, ids: list[str]) -> None:
        """The share of the given answers that the shadow gives too."""
        try:
            async with shadow.lease() as generation:
                found = await generation.recommender.recommend(query)
                own = set(_ids(generation, found))
        except Exception:
            log.exception("the shadow failed")
            self.metrics.shadow_skipped.inc()
            return
        if ids:
            self.metrics.shadow_agreement.observe(len(own.intersection(ids)) / len(ids))


def _ids(generation: Generation, found: Recommendation) -> list[str]:
    rows = [item.item_index for item in found.items[:COMPARED]]
    return [item_id for item_id, _ in generation.live.items.names(rows)]
