"""Codes of live items in a real Redis-protocol server: there, gone, hung, full of rubbish."""

import socket
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import redis

from benchmarks.reliability.like_intake import LikeIntake
from models.contract.bundle import Bundle
from models.contract.intake import Content, IntakeError, Taken
from models.contract.likeness import Alike
from service.catalogue.shared_codes import Made, SharedCodes
from service.catalogue.taking import Taking, Wanted
from service.metrics import Metrics
from service.settings import Settings
from tests.service.conftest import RedisServer

NEW = Wanted("new", Content("A title", {"like": "item-3"}))
STRANGE = Wanted("strange", Content("A title", {"like": "nothing"}))


class Replica:
    """One of several that share a Redis."""

    def __init__(self, tiny: Bundle, server: RedisServer) -> None:
        settings = Settings.model_validate(
            {"bundle": tiny.directory, "redis_url": server.url, "redis_timeout": 0.5}
        )
        self.metrics = Metrics()
        self.intake = LikeIntake(tiny)
        self.shared = SharedCodes(tiny, settings, self.metrics)
        self.taking = Taking(self.intake, self.shared)

    def errors(self) -> float:
        return self.metrics.registry.get_sample_value("bbqrec_cache_errors_total") or 0.0

    def away(self) -> bool:
        return self.metrics.registry.get_sample_value("bbqrec_cache_away") == 1


@pytest.fixture
def replicas(tiny: Bundle, redis_server: RedisServer) -> Iterator[list[Replica]]:
    made = [Replica(tiny, redis_server) for _ in range(2)]
    yield made
    for replica in made:
        replica.taking.close()


def assert_row(tiny: Bundle, found: Taken | IntakeError, row: int) -> None:
    assert isinstance(found, Taken)
    np.testing.assert_array_equal(found.codes_S, tiny.semantic_ids.codes_NS[row])
    np.testing.assert_array_equal(found.scored_D, tiny.vectors.scored_ND[row])
    np.testing.assert_array_equal(found.read_W, tiny.vectors.read_NW[row])


def test_one_replica_encodes_and_the_others_read(tiny: Bundle, replicas: list[Replica]) -> None:
    writer, reader = replicas
    writer.taking.take([NEW])
    assert_row(tiny, writer.taking.each([NEW])[0], 3)
    assert_row(tiny, reader.taking.each([NEW])[0], 3)
    assert (writer.intake.taken, reader.intake.taken) == ([1], [])


def test_other_content_of_the_same_item_is_encoded(tiny: Bundle, replicas: list[Replica]) -> None:
    writer, reader = replicas
    writer.taking.take([NEW])
    other = Wanted("new", Content("A title", {"like": "item-4"}))
    assert_row(tiny, reader.taking.each([other])[0], 4)


def test_others_can_read_the_codes(
    tiny: Bundle, replicas: list[Replica], redis_server: RedisServer
) -> None:
    replicas[0].taking.take([NEW])
    with redis.Redis.from_url(redis_server.url) as client:
        key = f"bbqrec:{tiny.digest}:codes:new"
        codes = np.frombuffer(client.hget(key, "codes"), "<u2")
        assert 0 < client.ttl(key) <= 7 * 86_400
        assert codes.tolist() == tiny.semantic_ids.codes_NS[3].tolist()
        replicas[1].taking.forget(["new"])
        assert not client.exists(key)


ALIKE = Alike(np.array([4, 2], np.int32), *np.array([[2, 1], [1, 0.5]], np.float32))


@pytest.mark.parametrize(
    ("alike", "kept"),
    [
        (ALIKE, True),
        (ALIKE._replace(rows_J=np.array([4, 999], np.int32)), False),
        (ALIKE._replace(rows_J=np.array([-1, 4], np.int32)), False),
        (ALIKE._replace(before_J=np.array([1, -1], np.float32)), False),
        (ALIKE._replace(after_J=np.array([1, np.nan], np.float32)), False),
        (Alike(np.zeros(99, np.int32), *np.zeros((2, 99), np.float32)), False),
    ],
)
def test_whom_it_is_described_like_is_shared_if_it_can_be(
    tiny: Bundle, replicas: list[Replica], alike: Alike, kept: bool
) -> None:
    writer, reader = replicas
    (taken,) = writer.intake.take([NEW.content])
    writer.shared.put([Made("new", b"digest", taken._replace(alike=alike))])
    found = reader.shared.get({"new": b"digest"})
    assert bool(found) == kept
    if kept:
        for ours, theirs in zip(found[b"digest"].alike, alike, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_one_at_fault_costs_no_other(tiny: Bundle, replicas: list[Replica]) -> None:
    fault, row = replicas[0].taking.each([STRANGE, NEW])
    assert isinstance(fault, IntakeError)
    assert_row(tiny, row, 3)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("codes", b""),
        ("codes", b"\xff" * 8),
        ("codes", b"odd"),
        ("scored", b"\x00" * 4),
        ("read", np.full(16, np.nan, "<f4").tobytes()),
        ("content", b"another"),
        ("alike", b"\x01\x00\x00\x00"),
        ("after", b"\x00" * 4),
    ],
)
def test_rubbish_is_encoded_once_more(
    tiny: Bundle, replicas: list[Replica], redis_server: RedisServer, field: str, value: bytes
) -> None:
    writer, reader = replicas
    writer.taking.take([NEW])
    with redis.Redis.from_url(redis_server.url) as client:
        client.hset(f"bbqrec:{tiny.digest}:codes:new", field, value)
    assert_row(tiny, reader.taking.each([NEW])[0], 3)
    assert reader.intake.taken == [1]


@pytest.mark.parametrize("how", ["gone", "hung", "of another type"])
def test_whatever_redis_does_items_are_taken_in(
    tiny: Bundle, replicas: list[Replica], redis_server: RedisServer, how: str
) -> None:
    replica = replicas[0]
    if how == "gone":
        redis_server.stop()
    elif how == "hung":
        redis_server.hang()
    else:
        with redis.Redis.from_url(redis_server.url) as client:
            client.set(f"bbqrec:{tiny.digest}:codes:new", "text")
    for _ in range(20):  # asked once: then it is left alone for a while
        assert_row(tiny, replica.taking.each([NEW])[0], 3)
    assert replica.errors() >= 1
    assert how == "of another type" or not replica.shared.available
    assert how == "of another type" or replica.errors() == 1
    assert how == "of another type" or replica.away()


def test_a_name_that_nobody_resolves_holds_up_one_call(
    tiny: Bundle, replicas: list[Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container's network whose Redis has stopped: sockets' time-outs do not hold there."""
    replica, resolved = replicas[0], threading.Event()
    replica.shared.client.connection_pool.disconnect()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: resolved.wait(60))
    replica.shared._soon.seconds = 0.2
    began = time.monotonic()
    for _ in range(20):
        assert_row(tiny, replica.taking.each([NEW])[0], 3)
    assert time.monotonic() - began < 30
    assert replica.away()
    resolved.set()
