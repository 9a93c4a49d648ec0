"""CodePublisher: keeps the bundle's codes in Redis, for the other replicas and for other readers.

Keys expire, and are written again well before they do, so that the codes of a bundle that nobody
serves any more vanish by themselves. A Redis that was emptied is filled again.
"""

import asyncio
import logging
import random
import uuid
from collections.abc import Iterator
from itertools import islice

import redis.asyncio as redis

from models.contract.bundle import Bundle
from models.contract.types import ItemCodes
from service.catalogue.item_codec import ItemCodec
from service.metrics import Metrics
from service.settings import Settings

log = logging.getLogger("bbqrec")
_AT_ONCE = 200  # so few that packing them does not hold requests up
_SAMPLED = 64


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
        self.published = await self._is_published()
        if self.published:
            return
        ttl, pairs = self.settings.redis_ttl, self._pairs()
        # It goes before the codes do, so that they are written again while the old ones still live.
        started = f"{self.marker}:{uuid.uuid4().hex}"
        await self.client.set(started, len(self.bundle.catalogue), ex=ttl // 2)
        while chunk := list(islice(pairs, _AT_ONCE)):
            async with self.client.pipeline(transaction=False) as pipeline:
                for key, value in chunk:
                    pipeline.set(key, value, ex=ttl)
                await pipeline.execute()
        # Fails where Redis was emptied meanwhile, and some of the codes with it: then once more.
        await self.client.rename(started, self.marker)
        self.published = True
        log.info("published the codes of %d items to Redis", len(self.bundle.catalogue))

    async def _is_published(self) -> bool:
        """The marker, and any of some codes: a full Redis may drop them and keep the marker.

        Not all of them: a Redis too small for the catalogue would be written to for ever.
        """
        rows = random.choices(range(len(self.bundle.catalogue)), k=_SAMPLED)
        ids = map(self.bundle.catalogue.id_of, rows)
        sampled = [item_key(self.bundle.digest, item_id) for item_id in ids]
        return bool(await self.client.exists(self.marker) and await self.client.exists(*sampled))

    def _failed(self, error: Exception) -> None:
        self.metrics.cache_errors.labels("redis").inc()
        if not self.failing:
            name = type(error).__name__
            log.warning("cannot publish codes to Redis, trying again: %s: %s", name, error)
        self.failing, self.published = True, False

    def _pairs(self) -> Iterator[tuple[str, bytes]]:
        codes_NS = self.bundle.semantic_ids.codes_NS
        for row, item_id in enumerate(self.bundle.catalogue.item_ids):
            value = self.codec.encode(ItemCodes(row, codes_NS[row]))
            yield item_key(self.bundle.digest, item_id or ""), value
