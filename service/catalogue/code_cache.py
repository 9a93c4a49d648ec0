"""CodeCache: item ids -> codes. In process first; Redis as the level that replicas share.

The bundle's own codes are always in process: a look-up there is a dictionary access. Each replica
also keeps them published in Redis, under keys that start with the bundle's digest, and asks Redis
for ids that its bundle does not know. Redis may be slow, gone or full of rubbish: a request waits
no longer than two short time-outs for it, and after a failure nobody waits at all for a while.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple, Protocol

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from models.contract.bundle import Bundle
from models.contract.types import ItemCodes
from service.catalogue.code_publisher import CodePublisher, item_key
from service.catalogue.item_codec import ItemCodec
from service.metrics import Metrics
from service.settings import Settings

log = logging.getLogger("bbqrec")
_AT_HAND = 2**16  # items: a look-up in the mapped map takes some 1 µs, one here 0.1
_ASKED_AT_MOST = 256  # unknown ids of one request: a flood of them must not hold the others up
_PUBLISHER_TIMEOUT = 2.0  # nobody waits for the publisher
_CANCELLED_AGAIN = 0.1  # seconds


class CacheState(NamedTuple):
    """What an operator wants to know."""

    backend: Literal["process", "redis"]
    available: bool
    published: bool


class CodeCache(Protocol):
    """Looks up what the scorer needs to know of items."""

    async def get(self, item_ids: Sequence[str]) -> list[ItemCodes | None]:
        """Codes of each id, None where nothing is known of it. Never raises."""

    def state(self) -> CacheState:
        """How it is doing."""

    async def start(self) -> None:
        """Begin background work."""

    async def close(self) -> None:
        """End background work and connections."""


class ProcessCache:
    """The bundle's own table; what was asked for lately is at hand."""

    def __init__(self, bundle: Bundle, metrics: Metrics) -> None:
        self.rows = bundle.catalogue.rows
        self.codes_NS = bundle.semantic_ids.codes_NS
        self._lookup = lru_cache(_AT_HAND)(self._find)
        self.metrics = metrics
        self.seconds = metrics.cache.labels("process")

    async def get(self, item_ids: Sequence[str]) -> list[ItemCodes | None]:
        """Codes of each id."""
        with self.seconds.time():
            found = [self._lookup(item_id) for item_id in item_ids]
        self.metrics.count_lookups("process", found)
        return found

    def state(self) -> CacheState:
        """Always available."""
        return CacheState("process", available=True, published=False)

    async def start(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do."""

    def _find(self, item_id: str) -> ItemCodes | None:
        row = self.rows.get(item_id)
        return None if row is None else ItemCodes(row, self.codes_NS[row])


class Circuit:
    """Whether Redis may be asked: after a failure nobody does for a while, then one tries."""

    def __init__(self, pause: float) -> None:
        self.pause = pause
        self.resume_at: float | None = None

    def allows(self) -> bool:
        """True for everybody while all is well; while it is not, for one caller a pause."""
        if self.resume_at is None:
            return True
        if time.monotonic() < self.resume_at:
            return False
        self.fail()
        return True

    def fail(self) -> None:
        """Ask nobody for a while."""
        self.resume_at = time.monotonic() + self.pause

    def succeed(self) -> None:
        """All is well again."""
        self.resume_at = None


class RedisCache:
    """The bundle's table, and Redis for what it does not hold."""

    def __init__(
        self, bundle: Bundle, local: CodeCache, settings: Settings, metrics: Metrics
    ) -> None:
        url, timeout = str(settings.redis_url), settings.redis_timeout
        self.local = local
        self.metrics = metrics
        self.timeout = timeout
        self.digest = bundle.digest
        self.codec = ItemCodec.of(bundle)
        self.circuit = Circuit(settings.redis_pause)
        self.client = _client(url, timeout)
        self.publisher_client = _client(url, max(timeout, _PUBLISHER_TIMEOUT))
        self.publisher = CodePublisher(bundle, self.publisher_client, settings, metrics)
        self.task: asyncio.Task[None] | None = None

    async def get(self, item_ids: Sequence[str]) -> list[ItemCodes | None]:
        """Codes of each id; Redis is asked, once, only for ids the bundle does not know."""
        found = await self.local.get(item_ids)
        pairs = list(zip(item_ids, found, strict=True))
        missing = list(dict.fromkeys(item_id for item_id, codes in pairs if codes is None))
        if not missing or not self.circuit.allows():
            return found
        shared = await self._ask(missing[-_ASKED_AT_MOST:])
        return [shared.get(item_id) if codes is None else codes for item_id, codes in pairs]

    def state(self) -> CacheState:
        """Unavailable as long as either asking or publishing fails."""
        well = self.circuit.resume_at is None and not self.publisher.failing
        return CacheState("redis", available=well, published=self.publisher.published)

    async def start(self) -> None:
        """Keep the bundle's codes published, in the background."""
        self.task = asyncio.create_task(self.publisher.run())

    async def close(self) -> None:
        """Stop publishing and disconnect."""
        while self.task is not None and not self.task.done():
            # Again if need be: a client that is just timing out takes it for its own and goes on.
            self.task.cancel()
            await asyncio.wait([self.task], timeout=_CANCELLED_AGAIN)
        await self.client.aclose()
        await self.publisher_client.aclose()

    async def _ask(self, item_ids: Sequence[str]) -> dict[str, ItemCodes | None]:
        """What Redis knows of these ids; nothing where it fails."""
        keys = [item_key(self.digest, item_id) for item_id in item_ids]
        try:
            with self.metrics.cache.labels("redis").time():
                async with asyncio.timeout(2 * self.timeout):  # to connect, and to answer
                    values = await self.client.mget(keys)
            found = dict(zip(item_ids, map(self._accept, values), strict=True))
        except Exception as error:  # a time-out, a refusal, a server that speaks no Redis: go on
            self._give_up(error)
            return {}
        self.circuit.succeed()
        self.metrics.count_lookups("redis", found.values())
        return found

    def _give_up(self, error: Exception) -> None:
        self.metrics.cache_errors.inc()
        if self.circuit.resume_at is None:  # said once, not for every request
            log.warning("going on without Redis: %s: %s", type(error).__name__, error)
        self.circuit.fail()

    def _accept(self, value: object) -> ItemCodes | None:
        """A row of the catalogue belongs to an id of the bundle; these ids are not of it."""
        item = self.codec.decode(value)
        return item if item and item.item_index == self.codec.catalogue_size else None


def make_cache(bundle: Bundle, settings: Settings, metrics: Metrics) -> CodeCache:
    """In process, or with Redis behind it where its URL is set."""
    local = ProcessCache(bundle, metrics)
    return RedisCache(bundle, local, settings, metrics) if settings.redis_url else local


def _client(url: str, timeout: float) -> redis.Redis:
    """redis-py as it should be here: its defaults turn a dead Redis into seconds a request."""
    return redis.Redis.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )
