"""CodeCache: item ids -> codes. In process first; Redis as the level that replicas share.

The bundle's own codes are always in process: a look-up there is a dictionary access. Each replica
also publishes them to Redis, under keys that start with the bundle's digest, and asks Redis for ids
that its bundle does not know. Redis may be slow, gone or full of rubbish: a request never waits
longer than one short time-out for it, and after a failure none waits at all for a while.
"""

import asyncio
import contextlib
import logging
import struct
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Protocol

import numpy as np
import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from models.bundle import Bundle
from models.types import ItemCodes
from service.metrics import Metrics
from service.settings import Settings

log = logging.getLogger("bbqrec")
_INDEX = struct.Struct("<i")
_PUBLISHED_AT_ONCE = 1000


class CodeCache(Protocol):
    """Looks up what the scorer needs to know of items."""

    backend: str

    async def get(self, item_ids: Sequence[str]) -> list[ItemCodes | None]:
        """Codes of each id, None where nothing is known of it."""

    async def start(self) -> None:
        """Begin background work."""

    async def close(self) -> None:
        """End background work and connections."""


class ProcessCache:
    """The bundle's own table."""

    backend = "process"

    def __init__(self, bundle: Bundle, metrics: Metrics) -> None:
        self.index = {item.item_id: n for n, item in enumerate(bundle.catalogue)}
        self.codes_NS = bundle.semantic_ids.codes_NS
        self.metrics = metrics

    async def get(self, item_ids: Sequence[str]) -> list[ItemCodes | None]:
        """Codes of each id."""
        with self.metrics.cache.labels(self.backend).time():
            found = [self.lookup(item_id) for item_id in item_ids]
        count(self.metrics, self.backend, found)
        return found

    def lookup(self, item_id: str) -> ItemCodes | None:
        """Codes of one id."""
        index = self.index.get(item_id)
        return None if index is None else ItemCodes(index, self.codes_NS[index])

    async def start(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do."""


class RedisCache:
    """The bundle's table, and Redis for what it does not hold."""

    backend = "redis"

    def __init__(self, bundle: Bundle, settings: Settings, metrics: Metrics) -> None:
        assert settings.redis_url is not None
        self.bundle = bundle
        self.process = ProcessCache(bundle, metrics)
        self.settings = settings
        self.metrics = metrics
        self.prefix = f"bbqrec:{bundle.digest}:"
        self.resume_at = 0.0
        self.publisher: asyncio.Task[None] | None = None
        self.client = _client(settings.redis_url, settings.redis_timeout)

    async def get(self, item_ids: Sequence[str]) -> list[ItemCodes | None]:
        """Codes of each id; Redis is asked, once, only for ids the bundle does not know."""
        found = await self.process.get(item_ids)
        missing = [place for place, codes in enumerate(found) if codes is None]
        if missing and time.monotonic() >= self.resume_at:
            keys = [self.key(item_ids[place]) for place in missing]
            for place, codes in zip(missing, await self._ask(keys), strict=True):
                found[place] = codes
        return found

    def key(self, item_id: str) -> str:
        """The Redis key of an item's codes."""
        return f"{self.prefix}codes:{item_id}"

    async def start(self) -> None:
        """Publish the bundle's codes in the background."""
        self.publisher = asyncio.create_task(self._keep_published())

    async def close(self) -> None:
        """Stop publishing and disconnect."""
        if self.publisher is not None:
            self.publisher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.publisher
        await self.client.aclose()

    async def _ask(self, keys: list[str]) -> list[ItemCodes | None]:
        try:
            with self.metrics.cache.labels(self.backend).time():
                async with asyncio.timeout(2 * self.settings.redis_timeout):
                    values = await self.client.mget(keys)
        except (RedisError, OSError, TimeoutError) as error:
            self._pause(error)
            return [None] * len(keys)
        found = [self.decode(value) for value in values]
        count(self.metrics, self.backend, found)
        return found

    def _pause(self, error: Exception) -> None:
        """Leave Redis alone for a while: a dead Redis must not cost every request a time-out."""
        self.metrics.cache_errors.inc()
        self.resume_at = time.monotonic() + self.settings.redis_pause
        log.warning("going on without Redis for %ss: %r", self.settings.redis_pause, error)

    def encode(self, item: ItemCodes) -> bytes:
        """An item's value in Redis: int32 index, then uint16 codes, little-endian."""
        return _INDEX.pack(item.item_index) + item.codes.astype("<u2").tobytes()

    def decode(self, value: object) -> ItemCodes | None:
        """The inverse. What is not exactly such a value counts as a miss: Redis is not trusted."""
        space = self.bundle.manifest.architecture.code_space
        if not isinstance(value, bytes) or len(value) != _INDEX.size + 2 * space.slots:
            return None
        (index,) = _INDEX.unpack_from(value)
        codes = np.frombuffer(value, "<u2", offset=_INDEX.size).astype(np.uint16)
        if not 0 <= index <= len(self.bundle.catalogue) or int(codes.max()) > space.null_code:
            return None
        return ItemCodes(index, codes)

    async def _keep_published(self) -> None:
        """Publish now, and again before what was published expires; wait out failures."""
        while True:
            try:
                await self._publish()
                await asyncio.sleep(self.settings.redis_ttl / 2)
            except (RedisError, OSError, TimeoutError) as error:
                self._pause(error)
                await asyncio.sleep(max(self.settings.redis_pause, 0.1))

    async def _publish(self) -> None:
        """Write all codes, unless a replica has lately; a marker that expires earlier says so."""
        marker, ttl = f"{self.prefix}published", self.settings.redis_ttl
        if await self.client.exists(marker):
            return
        values = self._values()
        while chunk := list(islice(values, _PUBLISHED_AT_ONCE)):
            async with self.client.pipeline(transaction=False) as pipeline:
                for key, value in chunk:
                    pipeline.set(key, value, ex=ttl)
                await pipeline.execute()
        await self.client.set(marker, len(self.bundle.catalogue), ex=ttl // 2)
        log.info("published the codes of %d items to Redis", len(self.bundle.catalogue))

    def _values(self) -> Iterator[tuple[str, bytes]]:
        for index, item in enumerate(self.bundle.catalogue):
            codes = self.bundle.semantic_ids.codes_NS[index]
            yield self.key(item.item_id), self.encode(ItemCodes(index, codes))


def make_cache(bundle: Bundle, settings: Settings, metrics: Metrics) -> CodeCache:
    """In process, or with Redis where its URL is set."""
    if settings.redis_url is None:
        return ProcessCache(bundle, metrics)
    return RedisCache(bundle, settings, metrics)


def count(metrics: Metrics, backend: str, found: Sequence[ItemCodes | None]) -> None:
    """Count hits and misses."""
    misses = sum(codes is None for codes in found)
    metrics.cache_lookups.labels(backend, "hit").inc(len(found) - misses)
    metrics.cache_lookups.labels(backend, "miss").inc(misses)


def _client(url: str, timeout: float) -> redis.Redis:
    """redis-py as it should be here: its defaults turn a dead Redis into seconds a request."""
    return redis.Redis.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )
