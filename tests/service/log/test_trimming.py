"""A trimmed log, a file and in Redis: what lasts is read by whoever had not got it, in order."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import redis
from hypothesis import HealthCheck, given
from hypothesis import settings as drawing
from hypothesis import strategies as st

from service.events.event_log import EVENT_LOG
from service.events.record import Record, Shown, decode
from service.log.file_log import FileLog
from service.log.log import Entry, Log
from service.log.redis_log import RedisLog
from tests.service.conftest import RedisServer
from tests.service.events.made import answer, event


class Trimming(NamedTuple):
    """What is appended, True where it lasts; then a reader reads some; then the log is trimmed."""

    appended: list[bool]
    read: int
    back: int  # so many positions before the end
    most: int


TRIMMINGS = st.lists(
    st.builds(
        Trimming,
        st.lists(st.booleans(), min_size=1, max_size=8),
        st.integers(0, 9),
        st.integers(1, 9),
        st.integers(0, 4),
    ),
    min_size=1,
    max_size=5,
)


@contextmanager
def opened(where: str, server: RedisServer) -> Iterator[Log[Record]]:
    if where == "redis":
        with redis.Redis.from_url(server.url) as client:
            client.flushall()
        with closing(RedisLog(server.url, EVENT_LOG)) as log:
            yield log
        return
    with tempfile.TemporaryDirectory() as folder, closing(FileLog(Path(folder), EVENT_LOG)) as log:
        yield log


def lasts(line: bytes) -> bool:
    return not isinstance(decode(line).value, Shown)


def read(log: Log[Record], most: int = 3) -> list[int]:
    reader = log.reader()
    found: list[Entry[Record]] = []
    while entries := reader.read(most):
        found += entries
    return [entry.position for entry in found]


def append(log: Log[Record], each: Sequence[bool]) -> list[int]:
    return log.append([event(str(n)) if lasting else answer("r") for n, lasting in enumerate(each)])


@pytest.mark.parametrize("where", ["file", "redis"])
@given(trimmings=TRIMMINGS)
@drawing(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_latest_that_last_stay_and_all_that_is_behind(
    redis_server: RedisServer, where: str, trimmings: list[Trimming]
) -> None:
    with opened(where, redis_server) as log:
        away, seen = log.reader(), list[int]()
        there: list[int] = []
        lasting: set[int] = set()
        upto = 0
        for appended, some, back, most in trimmings:
            positions = append(log, appended)
            there += positions
            lasting |= {at for at, each in zip(positions, appended, strict=True) if each}
            seen += [entry.position for entry in away.read(some)] if some else []
            upto = max(upto, positions[-1] - back)
            log.trim(upto, most, lasts)
            stay = [at for at in there if at <= upto and at in lasting]
            there = [*stay[max(0, len(stay) - most) :], *(at for at in there if at > upto)]
            assert read(log) == there
        while entries := away.read(3):
            seen += [entry.position for entry in entries]
        assert seen == sorted(set(seen))
        assert {*there} <= {*seen}
        assert append(log, [True]) == [positions[-1] + 1]


def test_who_reads_what_lasts_while_it_is_trimmed_gets_all_of_it(redis_server: RedisServer) -> None:
    """As a process that starts does: the stream it has read from is another one by then."""
    log = RedisLog(redis_server.url, EVENT_LOG)
    append(log, 5 * [True, False])
    log.trim(6, 9, lasts)
    reader = log.reader()
    seen = [entry.position for entry in reader.read(2)]
    append(log, 5 * [False])
    log.trim(12, 9, lasts)
    while entries := reader.read(2):
        seen += [entry.position for entry in entries]
    assert seen == [1, 3, 5, 7, 9, 13, 14, 15]


def test_two_replicas_do_not_trim_at_once(redis_server: RedisServer) -> None:
    log, other = (RedisLog(redis_server.url, EVENT_LOG) for _ in range(2))
    append(log, 4 * [True, False])

    def meanwhile(line: bytes) -> bool:
        other.trim(8, 9, lasts)
        return lasts(line)

    log.trim(4, 9, meanwhile)
    assert read(log) == [1, 3, 5, 6, 7, 8]
    other.trim(8, 9, lasts)
    assert read(log) == [1, 3, 5, 7]


def test_what_lasts_of_a_redis_that_was_emptied_is_not_looked_for(
    redis_server: RedisServer,
) -> None:
    log = RedisLog(redis_server.url, EVENT_LOG)
    append(log, 4 * [True])
    log.trim(3, 9, lasts)
    reader = log.reader()
    assert len(reader.read(9)) == 3
    with redis.Redis.from_url(redis_server.url) as client:
        client.delete(EVENT_LOG.key)
    append(log, [True])
    assert [entry.position for entry in reader.read(9)] == [1]
    assert read(log) == [1]
