"""CodeCache: item ids -> codes. In process first; Redis as the level that replicas share.

The bundle's own codes are always in process: a look-up in its mapped table, or what was asked for
lately. Each replica also keeps them published in Redis, under keys that start with the bundle's
digest, and asks Redis for ids that its bundle does not know. Redis may be slow, gone or full of
rubbish: a request waits no longer than two short time-outs for it, and after a failure nobody waits
until it is well again.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple, Protocol

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from models.contract.bundle import Bundle
from models.contract.types import ItemCodes
from service.catalogue.circuit import Circuit, ended
from service.catalogue.code_publisher import CodePublisher, item_key
from service.catalogue.item_codec import ItemCodec
from service.catalogue.patience import within
from service.metrics import Metrics
from service.settings import Settings

_AT_HAND = 2**16  # items: a look-up in the mapped map takes some 1 µs, one here 0.1
_ASKED_AT_MOST = 256  # unknown ids of one request: a flood of them must not hold the others up
_PUBLISHER_TIMEOUT = 2.0  # seconds; nobody waits for the publisher


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
        self._lookup = _lookup(bundle)
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


def _lookup(bundle: Bundle) -> Callable[[str], ItemCodes | None]:
    """Of no object that would keep it, and a bundle's mapped files, alive after its generation."""
    rows, codes_NS = bundle.catalogue.rows, bundle.semantic_ids.codes_NS

    @lru_cache(_AT_HAND)
    def find(item_id: str) -> ItemCodes | None:
        row = rows.get(item_id)
        return None if row is None else ItemCodes(row, codes_NS[row])

    return find


class RedisCache:
    """The bundle's table, and Redis for what it does not hold."""

    def __init__(
        self, bundle: Bundle, local: CodeCache, settings: Settings, metrics: Metrics
    ) -> None:
        self.local = local
        self.metrics = metrics
        self.patience = 2 * settings.redis_timeout  # to connect, and to answer
        self.digest = bundle.digest
        self.codec = ItemCodec.of(bundle)
        # Its own time-outs are the publisher's: a request waits only as long as `within` lets it.
        self.client = _client(str(settings.redis_url), max(2 * self.patience, _PUBLISHER_TIMEOUT))
        self.circuit = Circuit(self._ping, settings.redis_pause, metrics)
        self.publisher = CodePublisher(bundle, self.client, settings, metrics)
        self.task: asyncio.Task[None] | None = None

    async def get(self, item_ids: Sequence[str]) -> list[ItemCodes | None]:
        """Codes of each id; Redis is asked, once, only for ids the bundle does not know."""
        found = await self.local.get(item_ids)
        pairs = list(zip(item_ids, found, strict=True))
        missing = list(dict.fromkeys(item_id for item_id, codes in pairs if codes is None))
        if not missing or self.circuit.open:
            return found
        shared = await self._ask(missing[-_ASKED_AT_MOST:])
        return [shared.get(item_id) if codes is None else codes for item_id, codes in pairs]

    def state(self) -> CacheState:
        """Unavailable as long as either asking or publishing fails."""
        well = not self.circuit.open and not self.publisher.failing
        return CacheState("redis", available=well, published=self.publisher.published)

    async def start(self) -> None:
        """Keep the bundle's codes published, in the background."""
        self.task = asyncio.create_task(self.publisher.run())

    async def close(self) -> None:
        """Stop publishing and disconnect."""
        await ended(self.task)
        await self.circuit.close()
        await self.client.aclose()

    async def _ask(self, item_ids: Sequence[str]) -> dict[str, ItemCodes | None]:
        """What Redis knows of these ids; nothing where it fails."""
        keys = [item_key(self.digest, item_id) for item_id in item_ids]
        try:
            with self.metrics.cache.labels("redis").time():
                values = await within(self.patience, self.client.mget(keys))
            found = dict(zip(item_ids, map(self._accept, values), strict=True))
        except Exception as error:  # a time-out, a refusal, a server that speaks no Redis: go on
            self.circuit.failed(error)
            return {}
        self.circuit.succeeded()
        self.metrics.count_lookups("redis", found.values())
        return found

    async def _ping(self) -> None:
        await within(self.patience, self.client.ping())

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
