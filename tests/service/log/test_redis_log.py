"""The log in a real Redis-protocol server: read, compacted, emptied, gone, of the wrong kind."""

import threading
from pathlib import Path

import pytest
import redis
from hypothesis import HealthCheck, given
from hypothesis import settings as drawing
from hypothesis import strategies as st

from service.catalogue.change import Change
from service.catalogue.change_log import CHANGE_LOG
from service.catalogue.fold import Fold
from service.log.log import Entry, LogError
from service.log.redis_log import RedisLog
from tests.service.catalogue.changes import CHANGES, delete, put
from tests.service.conftest import RedisServer
from tests.service.failover import Failover
from tests.service.log.test_file_log import folded, positions, read_all


def test_what_was_appended_is_read_in_order_by_any_replica(redis_server: RedisServer) -> None:
    log, another = RedisLog(redis_server.url, CHANGE_LOG), RedisLog(redis_server.url, CHANGE_LOG)
    reader = log.reader()
    assert (reader.read(10), reader.position) == ([], 0)
    assert log.append([put("a"), delete("a")]) == [1, 2]
    assert another.append([put("b")]) == [3]
    assert positions(read_all(reader)) == positions(read_all(another.reader())) == [1, 2, 3]
    assert another.append([put("c")]) == [4]
    assert positions(reader.read(10)) == [4]


@given(
    parts=st.lists(st.lists(CHANGES, min_size=1, max_size=4), min_size=1, max_size=6),
    compact_after=st.integers(0, 5),
    reader_from=st.integers(0, 5),
)
@drawing(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_compaction_changes_nothing_for_whoever_reads(
    redis_server: RedisServer, parts: list[list[Change]], compact_after: int, reader_from: int
) -> None:
    """One reads from the start, one was away meanwhile; positions go on."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    log = RedisLog(redis_server.url, CHANGE_LOG, worth=0)
    away, seen, plain = log.reader(), [], []
    for number, part in enumerate(parts):
        at = log.append(part)
        plain += list(map(Entry, at, part))
        if number == reader_from:
            seen = read_all(away)
        if number == compact_after:
            log.compact_if_due()
    assert folded(read_all(log.reader())) == folded(plain)
    assert folded([*seen, *read_all(away)]) == folded(plain)
    assert away.position == len(plain)
    assert log.append([put()]) == [len(plain) + 1]


def test_what_was_compacted_twice_leaves_no_key_behind(redis_server: RedisServer) -> None:
    log = RedisLog(redis_server.url, CHANGE_LOG, worth=2)
    for _ in range(3):
        log.append([put("a"), put("a")])
        assert log.compact_if_due()
    assert not log.compact_if_due()
    with redis.Redis.from_url(redis_server.url) as client:
        assert len(client.keys("*")) == 3
        assert client.xlen("bbqrec:log") == 0
    assert positions(read_all(log.reader())) == [6]


def test_entries_of_another_release_cost_no_other(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """They are passed over, and stay for whoever can read them."""
    log = RedisLog(redis_server.url, CHANGE_LOG, worth=0)
    log.append([put("a")])
    with redis.Redis.from_url(redis_server.url) as client:
        for _ in range(4):
            client.xadd("bbqrec:log", {"entry": b'{"position":0,"kind":"rename"}'}, id="0-*")
    following = log.reader()
    assert positions(read_all(following)) == [1]
    assert following.position == 5
    log.append([put("b")])
    assert positions(following.read(10)) == [6]
    assert positions(read_all(log.reader())) == [1, 6]
    assert caplog.text.count("position 5 of") == 2
    with pytest.raises(LogError, match="no entry of the log"):
        log.compact_if_due()
    assert positions(read_all(log.reader())) == [1, 6]


def test_who_waits_hears_at_once(redis_server: RedisServer) -> None:
    log = RedisLog(redis_server.url, CHANGE_LOG)
    reader = log.reader()
    heard: list[Entry[Change]] = []
    thread = threading.Thread(target=lambda: heard.extend(reader.read(10, 30)))
    thread.start()
    RedisLog(redis_server.url, CHANGE_LOG).append([put()])
    thread.join(30)
    assert positions(heard) == [1]


def test_an_emptied_log_begins_anew(redis_server: RedisServer) -> None:
    log = RedisLog(redis_server.url, CHANGE_LOG)
    reader = log.reader()
    log.append([put("a"), put("b")])
    assert len(read_all(reader)) == 2
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    assert read_all(reader) == []
    log.append([put("c")])
    assert positions(read_all(reader)) == [1]


def test_a_redis_that_cannot_tell_now_is_not_an_emptied_one(redis_server: RedisServer) -> None:
    """A replica that has lost its master: what was read would be applied once more."""
    log = RedisLog(redis_server.url, CHANGE_LOG)
    reader = log.reader()
    log.append([put("a"), put("b")])
    assert len(read_all(reader)) == 2
    with redis.Redis.from_url(redis_server.url) as client:
        client.config_set("replica-serve-stale-data", "no")
        client.replicaof("127.0.0.1", "1")
        for _ in range(2):
            with pytest.raises(LogError, match="is not to be had"):
                reader.read(10)
        with pytest.raises(LogError, match="is not to be had"):
            reader.ends_before(2)
        client.replicaof("NO", "ONE")
    assert reader.read(10) == []
    assert log.append([put("c")]) == [3]
    assert positions(reader.read(10)) == [3]


@pytest.mark.parametrize("grown", [1, 2, 9])
def test_where_a_replica_takes_over_that_lacked_what_was_read_the_rest_of_it_is_read(
    redis_server: RedisServer, tmp_path: Path, grown: int
) -> None:
    """Positions come again, for other entries; those that stayed are not given once more."""
    log = RedisLog(redis_server.url, CHANGE_LOG)
    reader, starting = log.reader(), log.reader()
    log.append([put("a"), put("b")])
    assert positions(read_all(reader)) == [1, 2]
    failover = Failover(redis_server, tmp_path)
    log.append([put("lost"), put("lost, too")])
    assert positions(read_all(reader)) == [3, 4]
    assert positions(starting.read(4)) == [1, 2, 3, 4]
    failover.happen()
    log.append([put(f"new-{n}") for n in range(grown)])
    assert positions(read_all(reader)) == [*range(3, 3 + grown)]
    assert positions(read_all(starting)) == [*range(1, 3 + grown)]
    assert positions(read_all(log.reader())) == [*range(1, 3 + grown)]


def test_where_a_replica_takes_over_that_had_not_heard_of_a_compaction_all_is_read(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    log = RedisLog(redis_server.url, CHANGE_LOG, worth=2)
    log.append([put("a"), put("b")])
    failover = Failover(redis_server, tmp_path)
    log.append([put("lost"), put("lost, too")])
    assert log.compact_if_due()
    reader = log.reader()
    assert positions(read_all(reader)) == [1, 2, 3, 4]
    failover.happen()
    log.append([put(f"new-{n}") for n in range(3)])
    assert positions(read_all(reader)) == [*range(1, 6)]


def test_no_compaction_takes_away_what_came_where_a_replica_took_over_meanwhile(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    """It would say that all is in it up to where it had read."""

    class Meanwhile(Fold):
        def entries(self) -> list[Entry[Change]]:
            failover.happen()
            log.append([put("new-0"), put("new-1"), put("new-2")])
            return super().entries()

    log = RedisLog(redis_server.url, CHANGE_LOG._replace(summary=Meanwhile), worth=2)
    log.append([put("a")])
    failover = Failover(redis_server, tmp_path)
    log.append([put("lost")])
    log.compact_if_due()
    there = [entry.value.item_id for entry in read_all(log.reader())]
    assert there == ["a", "new-0", "new-1", "new-2"]


def test_a_server_that_was_restarted_gives_nothing_twice(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    """It has another history as a replica that took over has, and all that was read."""
    log = RedisLog(redis_server.url, CHANGE_LOG, worth=2)
    log.append([put("a"), put("b")])
    readers = [log.reader()]
    assert positions(read_all(readers[0])) == [1, 2]
    log.compact_if_due()
    readers.append(log.reader())
    assert positions(read_all(readers[1])) == [1, 2]
    log.append([put("c")])
    readers.append(log.reader())
    assert positions(readers[2].read(10)) == [1, 2]
    assert positions(readers[0].read(10)) == [3]
    failover = Failover(redis_server, tmp_path)
    failover.happen()
    assert [positions(read_all(reader)) for reader in readers] == [[], [3], [3]]


def test_what_somebody_else_put_into_the_stream_is_said_and_ends_it(
    redis_server: RedisServer,
) -> None:
    """Without a place in the log it was read for ever, and all before it once more each time."""
    log = RedisLog(redis_server.url, CHANGE_LOG)
    following = log.reader()
    log.append([put("a"), put("b")])
    assert len(read_all(following)) == 2
    with redis.Redis.from_url(redis_server.url) as client:
        client.xadd("bbqrec:log", {"entry": b"is this thing on?"})
    starting = log.reader()
    assert positions(starting.read(10)) == [1, 2]
    for reader in (following, starting):
        with pytest.raises(LogError, match="which is no entry of a log"):
            reader.read(10)
    assert not following.ends_before(2)


@pytest.mark.parametrize("junk", [b"nonsense", b"[1]", b'{"position": 3}', b"\xff"])
def test_a_pointer_that_points_nowhere_is_said(redis_server: RedisServer, junk: bytes) -> None:
    log = RedisLog(redis_server.url, CHANGE_LOG, worth=0)
    log.append([put("a")])
    with redis.Redis.from_url(redis_server.url) as client:
        client.set("bbqrec:log:compacted", junk)
    for call in (lambda: log.reader().read(10), log.compact_if_due):
        with pytest.raises(LogError, match="bbqrec:log:compacted does not say"):
            call()


def test_a_redis_that_evicts_is_refused(redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(LogError, match="allkeys-lru, set noeviction"):
        RedisLog(redis_server.url, CHANGE_LOG).append([put()])
    with pytest.raises(LogError, match="allkeys-lru, set noeviction"):
        RedisLog(redis_server.url, CHANGE_LOG).reader().read(1)


def test_one_that_forgets_when_it_stops_is_warned_of(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    RedisLog(redis_server.url, CHANGE_LOG).append([put()])
    assert "set appendonly yes" in caplog.text


def test_a_redis_that_is_gone_is_said(redis_server: RedisServer, tmp_path: Path) -> None:
    log = RedisLog(redis_server.url, CHANGE_LOG)
    reader = log.reader()
    redis_server.stop()
    with pytest.raises(LogError, match="is not to be had"):
        log.append([put()])
    with pytest.raises(LogError, match="is not to be had"):
        reader.read(10)
