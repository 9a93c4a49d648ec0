"""The shared level, with a real Redis-protocol server that is there, gone, hung or lying."""

import asyncio
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from fastapi.testclient import TestClient

from models.contract.bundle import Bundle
from models.contract.types import ItemCodes
from service.catalogue.code_cache import CodeCache, RedisCache, make_cache
from service.catalogue.code_publisher import item_key
from service.catalogue.item_codec import ItemCodec
from service.http.app import create_app
from service.metrics import Metrics
from service.settings import Settings
from tests.service.conftest import RedisServer
from tests.tiny_bundle import ITEMS

PAUSE = 0.2


def settings(directory: Path, url: str) -> Settings:
    return Settings.model_validate(
        {
            "bundle": directory,
            "redis_url": url,
            "provider": "cpu",
            "redis_pause": PAUSE,
            "redis_refresh": 0.1,
            "redis_timeout": 0.05,  # the tests' machine may be busy
        }
    )


def with_cache(tiny: Bundle, url: str, scenario: Callable[[CodeCache], Awaitable[None]]) -> Metrics:
    metrics = Metrics()

    async def run() -> None:
        cache = make_cache(tiny, settings(tiny.directory, url), metrics)
        assert isinstance(cache, RedisCache)
        try:
            await scenario(cache)
        finally:
            await cache.close()

    asyncio.run(run())
    return metrics


def put(server: RedisServer, tiny: Bundle, item_id: str, item: ItemCodes) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.set(item_key(tiny.digest, item_id), ItemCodec.of(tiny).encode(item))


def wait_until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 5
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert true()


def value_of(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, labels) or 0.0


def errors(metrics: Metrics) -> tuple[float, float]:
    """Calls given up, by whose fault: Redis's, this process's."""
    name = "bbqrec_cache_errors_total"
    return value_of(metrics, name, reason="redis"), value_of(metrics, name, reason="own_delay")


async def until(true: Callable[[], object]) -> None:
    for _ in range(250):
        if true():
            return
        await asyncio.sleep(0.02)
    assert true()


@pytest.fixture
def stranger(tiny: Bundle) -> ItemCodes:
    """An item that the bundle does not hold: codes, but no row."""
    return ItemCodes(ITEMS, tiny.semantic_ids.codes_NS[3])


def test_codes_are_published_under_the_bundles_digest_and_expire(
    tiny: Bundle, redis_server: RedisServer
) -> None:
    prefix = f"bbqrec:{tiny.digest}:"
    with redis.Redis.from_url(redis_server.url) as server:
        with TestClient(create_app(settings(tiny.directory, redis_server.url))) as client:
            wait_until(lambda: server.exists(f"{prefix}published"))
            state = {"backend": "redis", "available": True, "published": True}
            wait_until(lambda: client.get("/model").json()["code_cache"] == state)
        keys = set(server.scan_iter("*"))
        assert keys == {
            f"{prefix}published".encode(),
            *(f"{prefix}codes:item-{n}".encode() for n in range(ITEMS)),
        }
        lives = {key: server.ttl(key) for key in keys}
        marker = lives.pop(f"{prefix}published".encode())
        assert 0 < marker < min(lives.values())
        value = server.get(f"{prefix}codes:item-9")
        found = ItemCodec.of(tiny).decode(value)
        assert found is not None
        assert found.item_index == 9
        assert found.codes.tolist() == tiny.semantic_ids.codes_NS[9].tolist()


def test_an_emptied_redis_is_filled_again(tiny: Bundle, redis_server: RedisServer) -> None:
    """Also where the marker is still there, as when a full Redis drops what is seldom read."""
    key, marker = item_key(tiny.digest, "item-1"), f"bbqrec:{tiny.digest}:published"
    with (
        redis.Redis.from_url(redis_server.url) as server,
        TestClient(create_app(settings(tiny.directory, redis_server.url))),
    ):
        for left in ({}, {marker: "60"}):
            wait_until(lambda: server.exists(marker))
            server.flushall()
            server.mset(left or {"other": "key"})
            wait_until(lambda: server.exists(key))


def test_an_item_the_bundle_does_not_know_is_found_in_redis(
    tiny: Bundle, redis_server: RedisServer, stranger: ItemCodes
) -> None:
    """The shared level: a new item, put there by somebody else, counts in histories at once."""
    put(redis_server, tiny, "new", stranger)

    async def scenario(cache: CodeCache) -> None:
        known, new, never = await cache.get(["item-1", "new", "never"])
        assert known is not None
        assert new is not None
        assert new.item_index == ITEMS
        assert new.codes.tolist() == stranger.codes.tolist()
        assert never is None

    metrics = with_cache(tiny, redis_server.url, scenario)
    lookups = "bbqrec_cache_lookups_total"
    assert value_of(metrics, lookups, backend="process", result="hit") == 1
    assert value_of(metrics, lookups, backend="redis", result="hit") == 1
    assert value_of(metrics, lookups, backend="redis", result="miss") == 1


def test_a_history_of_such_items_alone_is_personal(
    tiny: Bundle, redis_server: RedisServer, stranger: ItemCodes
) -> None:
    put(redis_server, tiny, "new", stranger)
    with TestClient(create_app(settings(tiny.directory, redis_server.url))) as client:
        body = {"history": ["new"], "k": ITEMS + 5, "explain": True}
        answer = client.post("/recommend", json=body).json()
        assert (answer["fallback"], answer["unknown_items"]) == (None, [])
        assert len(answer["items"]) == ITEMS


RUBBISH = {
    "empty": b"",
    "short": b"x",
    "row out of range": b"\xff\xff\xff\x7f" + b"\0" * 8,
    "codes out of range": b"\0" * 4 + b"\xff\xff" * 4,
    "a row of another item": (5).to_bytes(4, "little") + b"\1\0" * 4,
    "long": b"0" * 99,
}


@pytest.mark.parametrize("value", RUBBISH.values(), ids=RUBBISH)
def test_rubbish_in_redis_is_a_miss(tiny: Bundle, redis_server: RedisServer, value: bytes) -> None:
    with redis.Redis.from_url(redis_server.url) as server:
        server.set(item_key(tiny.digest, "odd"), value)
        server.lpush(item_key(tiny.digest, "list"), "x")

    async def scenario(cache: CodeCache) -> None:
        assert await cache.get(["odd", "list", "odd"]) == [None, None, None]

    metrics = with_cache(tiny, redis_server.url, scenario)
    assert errors(metrics) == (0, 0)


@pytest.mark.parametrize("fault", ["stopped", "hung"])
def test_the_service_goes_on_when_redis_does_not(
    tiny: Bundle, redis_server: RedisServer, fault: str
) -> None:
    body = {"history": ["item-3", "unknown"], "k": 5}
    with TestClient(create_app(settings(tiny.directory, redis_server.url))) as client:
        before = client.post("/recommend", json=body).json()
        wait_until(lambda: client.get("/model").json()["code_cache"]["published"])
        redis_server.stop() if fault == "stopped" else redis_server.hang()
        seconds = []
        for _ in range(200):
            started = time.monotonic()
            after = client.post("/recommend", json=body)
            seconds.append(time.monotonic() - started)
            assert after.status_code == 200
            assert after.json() == before
        assert client.get("/readyz").status_code == 200
        assert client.get("/model").json()["code_cache"]["available"] is False
        assert 'bbqrec_cache_errors_total{reason="redis"} 0.0' not in client.get("/metrics").text
    # redis-py's defaults: 4 s and more, each. Here most never ask, and who asks gives up soon.
    assert sorted(seconds)[100] < 0.05
    assert max(seconds) < 1


def test_while_redis_fails_no_request_asks_it(
    tiny: Bundle, redis_server: RedisServer, stranger: ItemCodes
) -> None:
    """The first finds out; the others do not wait. A look in the background finds it well again."""

    async def scenario(cache: CodeCache) -> None:
        assert isinstance(cache, RedisCache)
        redis_server.stop()
        asked = 0
        mget = cache.client.mget

        def counted(keys: list[str]) -> Awaitable[Any]:
            nonlocal asked
            asked += 1
            return mget(keys)

        cache.client.mget = counted  # type: ignore[method-assign, assignment]
        for _ in range(20):
            assert await cache.get(["new"]) == [None]
        assert asked == 1
        assert not cache.state().available
        redis_server.start()
        put(redis_server, tiny, "new", stranger)
        await until(lambda: cache.state().available)
        assert (await cache.get(["new"]))[0] is not None

    metrics = with_cache(tiny, redis_server.url, scenario)
    assert errors(metrics)[0] >= 1


def test_redis_that_comes_back_is_noticed_though_nobody_asks(
    tiny: Bundle, redis_server: RedisServer
) -> None:
    body = {"history": ["item-3", "unknown"]}
    with TestClient(create_app(settings(tiny.directory, redis_server.url))) as client:

        def available() -> bool:
            state: bool = client.get("/model").json()["code_cache"]["available"]
            return state

        wait_until(available)
        redis_server.stop()
        assert client.post("/recommend", json=body).status_code == 200
        assert not available()
        redis_server.start()
        wait_until(available)


def test_a_delay_of_our_own_is_no_failure_of_redis(
    tiny: Bundle, redis_server: RedisServer, stranger: ItemCodes
) -> None:
    """The answer is there, and this process was too busy to look: it is taken all the same."""
    put(redis_server, tiny, "new", stranger)

    async def scenario(cache: CodeCache) -> None:
        for steps in range(12):  # wherever in the call the block falls: connect, send, read
            asking = asyncio.create_task(cache.get(["new"]))
            for _ in range(steps):
                await asyncio.sleep(0)
            time.sleep(0.2)  # twice as long as a request waits for Redis
            assert (await asking)[0] is not None
        assert cache.state().available

    assert errors(with_cache(tiny, redis_server.url, scenario)) == (0, 0)


def test_a_process_that_is_late_all_the_time_does_not_blame_redis(
    tiny: Bundle, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """It cannot know. After three in a row nobody waits any more; still Redis is not to blame."""

    async def scenario(cache: CodeCache) -> None:
        redis_server.hang()  # so that no answer can come in between
        busy = asyncio.create_task(_keep_blocking())
        for allowed in (True, True, False):
            assert await cache.get(["new"]) == [None]
            assert cache.state().available is allowed
        busy.cancel()

    assert errors(with_cache(tiny, redis_server.url, scenario)) == (0, 3)
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


async def _keep_blocking() -> None:
    while True:
        time.sleep(0.04)  # several ticks of a request's patience
        await asyncio.sleep(0)


def test_a_hiccup_is_counted_and_worth_no_warning(
    tiny: Bundle, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(cache: CodeCache) -> None:
        assert isinstance(cache, RedisCache)
        cache.patience = 5.0  # the look that follows must be answered, however busy the machine
        mget = cache.client.mget

        async def fails(keys: list[str]) -> None:
            raise redis.TimeoutError("once")

        cache.client.mget = fails  # type: ignore[method-assign, assignment]
        assert await cache.get(["new"]) == [None]
        cache.client.mget = mget  # type: ignore[method-assign]
        assert not cache.state().available
        await until(lambda: cache.state().available)

    assert errors(with_cache(tiny, redis_server.url, scenario))[0] >= 1
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


def test_a_redis_that_stays_away_is_warned_of_once(
    tiny: Bundle, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(cache: CodeCache) -> None:
        redis_server.stop()
        await cache.get(["new"])
        await asyncio.sleep(4 * PAUSE)

    metrics = with_cache(tiny, redis_server.url, scenario)
    warned = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert len(warned) == 1
    assert "going on without Redis" in warned[0]
    assert errors(metrics)[0] >= 2


def test_redis_that_comes_back_is_published_to(tiny: Bundle, redis_server: RedisServer) -> None:
    redis_server.stop()
    with TestClient(create_app(settings(tiny.directory, redis_server.url))) as client:
        assert client.post("/recommend", json={"history": ["item-1"]}).status_code == 200
        redis_server.start()
        wait_until(lambda: client.get("/model").json()["code_cache"]["published"])


def test_a_server_that_speaks_no_redis_is_a_failure_like_any_other(tiny: Bundle) -> None:
    with socket.create_server(("127.0.0.1", 0)) as odd:
        threading.Thread(target=_talk_nonsense, args=[odd], daemon=True).start()

        async def scenario(cache: CodeCache) -> None:
            assert await cache.get(["new", "item-1"]) != [None, None]

        metrics = with_cache(tiny, f"redis://127.0.0.1:{odd.getsockname()[1]}/0", scenario)
    assert errors(metrics)[0] == 1


def _talk_nonsense(odd: socket.socket) -> None:
    connection, _ = odd.accept()
    with connection:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n\xff\xfe")
        connection.recv(1000)


def test_a_flood_of_unknown_ids_is_not_all_asked_for(
    tiny: Bundle, redis_server: RedisServer
) -> None:
    async def scenario(cache: CodeCache) -> None:
        assert not any(await cache.get([f"no-{n}" for n in range(9000)]))

    metrics = with_cache(tiny, redis_server.url, scenario)
    asked = value_of(metrics, "bbqrec_cache_lookups_total", backend="redis", result="miss")
    assert asked == 256


def test_it_closes_though_the_client_takes_a_cancellation_for_its_own_timeout(
    tiny: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cancellation that arrives with a time-out is lost: the service must not hang for it."""
    chosen, lost = settings(tiny.directory, "redis://127.0.0.1:1/0"), 0

    async def taken_for_a_timeout() -> None:
        nonlocal lost
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            lost += 1
            if lost > 1:
                raise
            raise redis.TimeoutError from None

    async def scenario() -> None:
        metrics = Metrics()
        cache = make_cache(tiny, chosen, metrics)
        assert isinstance(cache, RedisCache)
        monkeypatch.setattr(cache.publisher, "publish", taken_for_a_timeout)
        await cache.start()
        await asyncio.sleep(0)
        closing = asyncio.create_task(cache.close())
        done, _ = await asyncio.wait([closing], timeout=20)
        assert done, "it hangs"
        assert lost >= 1

    asyncio.run(scenario())
