"""The shared level, with a real Redis-protocol server that is there, gone, hung or lying."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import redis
from fastapi.testclient import TestClient

from models.bundle import Bundle
from models.types import ItemCodes
from service.app import create_app
from service.code_cache import RedisCache
from service.metrics import Metrics
from service.settings import Settings
from tests.service.conftest import RedisServer
from tests.tiny_bundle import ITEMS


def settings(directory: Path, url: str) -> Settings:
    return Settings(bundle=directory, redis_url=url, provider="cpu", redis_pause=0.2, drain=0)


def with_cache(
    tiny: Bundle, url: str, scenario: Callable[[RedisCache], Awaitable[None]]
) -> Metrics:
    metrics = Metrics()

    async def run() -> None:
        cache = RedisCache(tiny, settings(tiny.directory, url), metrics)
        try:
            await scenario(cache)
        finally:
            await cache.close()

    asyncio.run(run())
    return metrics


def wait_for(server: redis.Redis, key: str) -> None:
    deadline = time.monotonic() + 5
    while not server.exists(key) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert server.exists(key)


def test_codes_are_published_under_the_bundles_digest_and_expire(
    tiny: Bundle, redis_server: RedisServer
) -> None:
    prefix = f"bbqrec:{tiny.digest}:"
    with redis.Redis.from_url(redis_server.url) as server:
        with TestClient(create_app(settings(tiny.directory, redis_server.url))):
            wait_for(server, f"{prefix}published")
        keys = list(server.scan_iter("*"))
        assert len(keys) == ITEMS + 1
        assert all(key.decode().startswith(prefix) for key in keys)
        assert all(server.ttl(key) > 0 for key in keys)


def test_an_item_the_bundle_does_not_know_is_found_in_redis(
    tiny: Bundle, redis_server: RedisServer
) -> None:
    """The shared level: a new item, put there by somebody else, counts in histories at once."""
    new = ItemCodes(ITEMS, tiny.semantic_ids.codes_NS[3])

    async def scenario(cache: RedisCache) -> None:
        await cache.client.set(cache.key("new"), cache.encode(new))
        found = await cache.get(["item-1", "new", "never"])
        assert found[0] is not None
        assert found[1] is not None
        assert found[1].item_index == ITEMS
        assert found[1].codes.tolist() == new.codes.tolist()
        assert found[2] is None

    with_cache(tiny, redis_server.url, scenario)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"x",
        b"\xff" * 12,
        b"\xff\xff\xff\x7f" + b"\0" * 8,
        b"\0" * 4 + b"\xff\xff" * 4,
        b"0" * 99,
    ],
)
def test_rubbish_in_redis_is_a_miss(tiny: Bundle, redis_server: RedisServer, value: bytes) -> None:
    async def scenario(cache: RedisCache) -> None:
        await cache.client.set(cache.key("odd"), value)
        assert await cache.get(["odd"]) == [None]

    with_cache(tiny, redis_server.url, scenario)


def test_a_key_of_another_type_is_survived(tiny: Bundle, redis_server: RedisServer) -> None:
    async def scenario(cache: RedisCache) -> None:
        await cache.client.lpush(cache.key("list"), "x")
        assert await cache.get(["list"]) == [None]

    with_cache(tiny, redis_server.url, scenario)


@pytest.mark.parametrize("fault", ["stopped", "hung"])
def test_the_service_goes_on_when_redis_does_not(
    tiny: Bundle, redis_server: RedisServer, fault: str
) -> None:
    body = {"history": ["item-3", "unknown"], "k": 5}
    with TestClient(create_app(settings(tiny.directory, redis_server.url))) as client:
        before = client.post("/recommend", json=body).json()
        redis_server.stop() if fault == "stopped" else redis_server.hang()
        started = time.monotonic()
        after = [client.post("/recommend", json=body) for _ in range(50)]
        elapsed = time.monotonic() - started
        assert {response.status_code for response in after} == {200}
        assert all(response.json() == before for response in after)
        assert client.get("/readyz").status_code == 200
        assert "bbqrec_cache_errors_total 0.0" not in client.get("/metrics").text
        # redis-py's defaults would take 4 s and more for each of the fifty.
        assert elapsed < 10


def test_redis_is_used_again_once_it_is_back(tiny: Bundle, redis_server: RedisServer) -> None:
    async def scenario(cache: RedisCache) -> None:
        redis_server.stop()
        assert await cache.get(["new"]) == [None]
        redis_server.start()
        new = ItemCodes(1, tiny.semantic_ids.codes_NS[1])
        with redis.Redis.from_url(redis_server.url) as server:
            server.set(cache.key("new"), cache.encode(new))
        assert await cache.get(["new"]) == [None]  # still pausing: not even asked
        await asyncio.sleep(0.25)
        assert (await cache.get(["new"]))[0] is not None

    with_cache(tiny, redis_server.url, scenario)


def test_the_service_starts_without_redis(tiny: Bundle) -> None:
    with TestClient(create_app(settings(tiny.directory, "redis://127.0.0.1:1/0"))) as client:
        assert client.post("/recommend", json={"history": ["item-1"]}).status_code == 200
        assert client.get("/model").json()["code_cache"] == "redis"
