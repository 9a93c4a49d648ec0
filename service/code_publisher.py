"""CodePublisher: keeps the bundle's codes in Redis, for the other replicas and for other readers.

Keys expire, and are written again well before they do, so that the codes of a bundle that nobody
serves any more vanish by themselves. A Redis that was emptied is filled again.
"""

import asyncio
import logging
from collections.abc import Iterator
from itertools import islice

import redis.asyncio as redis

from models.bundle import Bundle
from models.types import ItemCodes
from service.item_codec import ItemCodec
from service.metrics import Metrics
from service.settings import Settings

log = logging.getLogger("bbqrec")
_AT_ONCE = 200  # so few that packing them does not hold requests up


def item_key(digest: str, item_id: str) -> str:
    """The Redis key of an item's codes."""
    return f"bbqrec:{digest}:codes:{item_id}"


class CodePublisher:
    """Writes all codes unless a marker says that a replica has lately. Failures are waited out."""

    def __init__(
        self, bundle: Bundle, client: redis.Redis, settings: Settings, metrics: Metrics
    ) -> None:
        self.bundle = bundle
        self.client = client
        self.settings = settings
        self.metrics = metrics
        self.codec = ItemCodec.of(bundle)
        self.marker = f"bbqrec:{bundle.digest}:published"
        self.published = False
        self.failing = False

    async def run(self) -> None:
        """Look, publish where needed, sleep; for ever."""
        retry = first_retry = max(self.settings.redis_pause, 0.1)
        while True:
            try:
                await self.publish()
                self.failing, retry = False, first_retry
                await asyncio.sleep(self.settings.redis_refresh)
            except Exception as error:  # whatever Redis does: this task must not end
                self._failed(error)
                await asyncio.sleep(retry)
                retry = min(2 * retry, self.settings.redis_refresh)

    async def publish(self) -> None:
        """Write all codes, the marker last; nothing where the marker is still there."""
        self.published = bool(await self.client.exists(self.marker))
        if self.published:
            return
        ttl, pairs = self.settings.redis_ttl, self._pairs()
        while chunk := list(islice(pairs, _AT_ONCE)):
            async with self.client.pipeline(transaction=False) as pipeline:
                for key, value in chunk:
                    pipeline.set(key, value, ex=ttl)
                await pipeline.execute()
        # The marker goes first, so that codes are written again while the old ones still live.
        await self.client.set(self.marker, len(self.bundle.catalogue), ex=ttl // 2)
        self.published = True
        log.info("published the codes of %d items to Redis", len(self.bundle.catalogue))

    def _failed(self, error: Exception) -> None:
        self.metrics.cache_errors.inc()
        if not self.failing:
            log.warning("cannot publish codes to Redis, trying again: %r", error)
        self.failing, self.published = True, False

    def _pairs(self) -> Iterator[tuple[str, bytes]]:
        codes_NS = self.bundle.semantic_ids.codes_NS
        for row, item in enumerate(self.bundle.catalogue):
            value = self.codec.encode(ItemCodes(row, codes_NS[row]))
            yield item_key(self.bundle.digest, item.item_id), value
