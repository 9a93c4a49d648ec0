"""Stored events: each once, whatever is killed; forgotten where a user is."""

import resource
import signal
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic_core import from_json, to_json

from service.events import table
from service.events.event_log import EVENT_LOG, open_events
from service.events.record import Erased, Merged, Record, Shown, decode, encode
from service.events.store import Store, open_store
from service.events.storing import Progress, Storing
from service.log.file_log import FileLog
from service.log.framing import frame
from service.log.log import Entry, EntryError, Log
from service.log.redis_log import RedisLog
from tests.service.conftest import RedisServer
from tests.service.events.made import NOON, answer, event
from tests.service.failover import Failover
from tests.service.kafka import kafka_broker
from tests.service.program import eventually

HOUR = 3600.0


def stored(store: Store, what: str = "done") -> pl.DataFrame:
    files = {"done": store.done, "shown": store.shown}[what].files()
    return pl.read_parquet(files, hive_partitioning=False) if files else pl.DataFrame()


def everything(log: Log[Record]) -> list[Entry[Record]]:
    reader = log.reader()
    return [*chain.from_iterable(iter(lambda: reader.read(1000), []))]


def store_of(folder: Path, **settings: int) -> Store:
    return open_store(Storing(folder=folder, **settings))


@pytest.mark.parametrize(
    "record",
    [event("1", value=2.5, position=3, context={"page": "home"}), answer("r", None, "a", "b"),
     answer("r", None, "a", odds=[0.5]), Erased("ada", 1.0), Merged("guest", "ada", 2.0)],
)  # fmt: skip
def test_what_is_kept_comes_back(record: object) -> None:
    assert decode(encode(Entry(7, record))) == Entry(7, record)  # type: ignore[arg-type]


@pytest.mark.parametrize("line", [b"", b"[]", b'{"position": 1}', b'{"kind": "no", "record": {}}'])
def test_what_is_no_record_is_refused(line: bytes) -> None:
    with pytest.raises(EntryError):
        decode(line)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("event", {"time": "2024"}),
        ("event", {"user_id": 7}),
        ("event", {"of_another_release": 1}),
        ("shown", {"item_ids": [1, 2]}),
        ("erased", {"user_id": ["ada"]}),
    ],
)
def test_what_somebody_else_wrote_keeps_nothing_from_being_stored(
    tmp_path: Path, kind: str, wrong: dict[str, Any]
) -> None:
    records: dict[str, Record] = {
        "event": event("1"),
        "shown": answer("r", "ada", "a"),
        "erased": Erased("ada", 1.0),
    }
    told = from_json(encode(Entry(1, records[kind])))
    line = to_json(told | {"record": told["record"] | wrong})
    (tmp_path / "events.log").write_bytes(frame(line))
    FileLog(tmp_path, EVENT_LOG).append([event("2", user_id="eve")])
    store = store_of(tmp_path)
    store.run()
    assert stored(store)["id"].to_list() == ["2"]


def test_events_go_to_the_hour_when_they_happened(tmp_path: Path) -> None:
    log = FileLog(tmp_path, EVENT_LOG)
    log.append([event("1"), event("2", time=NOON + HOUR, context={"page": 1}), event("3")])
    store = store_of(tmp_path)
    assert (store.run(), store.run()) == (3, 0)
    folders = sorted(str(file.parent.relative_to(tmp_path)) for file in store.done.files())
    assert folders == ["done/date=2023-11-14/hour=22", "done/date=2023-11-14/hour=23"]
    rows = stored(store).sort("id")
    assert rows["id"].to_list() == ["1", "2", "3"]
    assert rows["time"].dt.epoch("s").to_list() == [NOON, NOON + HOUR, NOON]
    assert rows["context"].to_list() == [None, '{"page":1}', None]


def test_what_was_recommended_is_a_row_an_item(tmp_path: Path) -> None:
    FileLog(tmp_path, EVENT_LOG).append([answer("r", "ada", "a", "b"), answer("empty")])
    store = store_of(tmp_path)
    store.run()
    rows = stored(store, "shown").sort("position")
    assert rows.select("item_id", "position").rows() == [("a", 1), ("b", 2)]


def test_what_was_recommended_has_the_odds_that_are_known(tmp_path: Path) -> None:
    log = FileLog(tmp_path, EVENT_LOG)
    log.append([answer("drawn", "ada", "a", "b", odds=[1.0, 0.25]), answer("plain", "ada", "a")])
    log.append([answer("torn", "ada", "a", "b", odds=[0.5])])
    store = store_of(tmp_path)
    store.run()
    rows = stored(store, "shown").sort("recommendation_id", "position")
    assert rows["odds"].to_list() == [1.0, 0.25, None, None, None]


def test_files_of_before_there_were_odds_are_added_to(tmp_path: Path) -> None:
    """Over many files of one hour, which become one."""
    log, store = FileLog(tmp_path, EVENT_LOG), store_of(tmp_path)
    log.append([answer("old", "ada", "a")])
    store.run()
    (file,) = store.shown.files()
    pl.read_parquet(file).drop("odds").write_parquet(file)
    for n in range(10):
        log.append([answer("old", "ada", "a"), answer(f"new-{n}", "ada", "a", odds=[0.5])])
        store.run()
    assert len(store.shown.files()) < 5
    files = [pl.read_parquet(file) for file in store.shown.files()]
    found = dict(pl.concat(files, how="diagonal").select("recommendation_id", "odds").rows())
    assert found == {"old": None} | {f"new-{n}": 0.5 for n in range(10)}


def test_large_files_are_never_read_whole_again_and_known_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour of a large shop is more than memory holds."""
    monkeypatch.setattr(table, "_SMALL", 3)
    log, store = FileLog(tmp_path, EVENT_LOG), store_of(tmp_path)
    log.append([event(f"large-{n}") for n in range(3)])
    store.run()
    (large,) = store.done.files()
    before = large.stat().st_ino
    left = large.with_name("left.parquet")  # by one that was killed after it had made this of that
    pl.read_parquet(large).head(2).write_parquet(left)
    for n in range(20):
        log.append([event("large-1"), event(f"small-{n}")])
        store.run()
    assert large.stat().st_ino == before
    assert len(store.done.files()) < 12
    assert sorted(stored(store)["id"]) == sorted(
        [f"large-{n}" for n in range(3)] + [f"small-{n}" for n in range(20)]
    )


def test_each_event_is_stored_once(tmp_path: Path) -> None:
    """Sent twice, stored twice, over many files that become one."""
    log = FileLog(tmp_path, EVENT_LOG)
    for n in range(12):
        log.append([event(str(n)), event(str(n)), event("always")])
        store_of(tmp_path).run()
        (tmp_path / ".stored.json").unlink()  # as if killed before it was written down
    rows = stored(store := store_of(tmp_path))
    assert sorted(rows["id"]) == sorted([*map(str, range(12)), "always"])
    assert len(store.done.files()) < 9


def test_what_was_shown_before_and_is_written_after_is_forgotten_too(tmp_path: Path) -> None:
    """Answers of another process wait a moment to be written."""
    log, late = FileLog(tmp_path, EVENT_LOG), answer("late", "ada", "a")
    log.append([Erased("ada", NOON + 1), late, answer("again", "ada", "b", time=NOON + 2)])
    store = store_of(tmp_path)
    store.run()
    assert stored(store, "shown")["recommendation_id"].to_list() == ["again"]
    log.append([answer("later", "ada", "a")])
    after = store_of(tmp_path)  # which has not stored that she is forgotten
    after.run()
    assert stored(after, "shown")["recommendation_id"].to_list() == ["again"]


def test_a_user_is_forgotten_and_a_guest_renamed_as_of_then(tmp_path: Path) -> None:
    log = FileLog(tmp_path, EVENT_LOG)
    log.append([event("1"), event("2", "bob"), event("3", "guest"), answer("r", "ada", "a")])
    store = store_of(tmp_path)
    store.run()
    log.append([Erased("ada", 0.0), event("4"), Merged("guest", "bob", 0.0), event("5", "guest")])
    store.run()
    found = {row["id"]: row["user_id"] for row in stored(store).iter_rows(named=True)}
    assert found == {"2": "bob", "3": "bob", "4": "ada", "5": "guest"}
    assert stored(store, "shown").is_empty()


def test_the_log_is_trimmed_behind_what_is_stored(tmp_path: Path) -> None:
    log = FileLog(tmp_path, EVENT_LOG)
    log.append([event(str(n)) for n in range(100)])
    following = log.reader()
    store_of(tmp_path, keep=10).run()
    kept = log.reader().read(1000)
    assert [entry.position for entry in kept] == [*range(81, 101)]
    assert log.append([event("next")]) == [101]
    assert following.read(1000)[-1].position in (100, 101)
    store = store_of(tmp_path, keep=10)
    assert store.run() == 1
    assert len(stored(store)) == 101


@pytest.mark.parametrize("where", ["file", "redis"])
def test_what_people_did_outlasts_the_many_answers_that_they_were_shown(
    tmp_path: Path, redis_server: RedisServer, where: str
) -> None:
    """Who starts knows them, however busy the shop is; it does not know who is forgotten."""
    log_url = redis_server.url if where == "redis" else None
    storing = Storing(folder=tmp_path, log_url=log_url, keep=20)
    log, store = open_events(storing), open_store(storing)
    log.append([event("1"), event("2", "bob"), event("3", "eve"), Erased("bob", NOON + 1)])
    for part in range(10):
        if part == 5:
            log.append([Erased("eve", NOON + 1)])
        log.append([answer(f"{part}-{n}", "ada", "a") for n in range(20)])
        store.run()
    kept = [entry.value for entry in everything(log)]
    did = [record for record in kept if not isinstance(record, Shown)]
    assert did == [event("1"), Erased("bob", NOON + 1), Erased("eve", NOON + 1)]
    assert len(kept) < 50
    assert len(stored(store, "shown")) == 200
    assert (store.run(), open_store(storing).run()) == (0, 0)


def test_a_log_begun_anew_is_stored_too(tmp_path: Path) -> None:
    FileLog(tmp_path, EVENT_LOG).append([event(str(n)) for n in range(5)])
    store_of(tmp_path).run()
    (tmp_path / "events.log").unlink()
    FileLog(tmp_path, EVENT_LOG).append([event("new")])
    store = store_of(tmp_path)
    store.run()
    assert "new" in stored(store)["id"].to_list()


@pytest.mark.parametrize("grown", [1, 3, 9])
def test_where_another_log_took_the_place_of_what_was_stored_it_is_stored_too(
    tmp_path: Path, grown: int
) -> None:
    """It may have grown beyond that before anybody looks."""
    log = FileLog(tmp_path, EVENT_LOG)
    for part in range(4):
        log.append([event(f"{part}-{n}") for n in range(5)])
        assert store_of(tmp_path).run() == 5
        if part == 1:
            before = log.path.read_bytes()
    log.path.unlink()
    log.path.write_bytes(before)
    others = [event(f"new-{n}") for n in range(5 * grown)]
    log.append(others)
    store = store_of(tmp_path)
    assert store.run() == len(others)
    ids = stored(store)["id"].to_list()
    assert len(ids) == len(set(ids)) == 20 + len(others)
    assert (store.run(), store_of(tmp_path).run()) == (0, 0)


def test_what_came_where_a_replica_took_over_that_lacked_what_was_stored_is_stored_too(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    log = RedisLog(redis_server.url, EVENT_LOG)
    storing = Storing(folder=tmp_path, log_url=redis_server.url)
    log.append([event("a"), event("b")])
    store = open_store(storing)
    assert store.run() == 2
    failover = Failover(redis_server, tmp_path)
    log.append([event("lost"), event("lost, too")])
    assert store.run() == 2
    failover.happen()
    log.append([event(f"new-{n}") for n in range(3)])
    assert store.run() == 3
    assert sorted(stored(store)["id"]) == ["a", "b", "lost", "lost, too", "new-0", "new-1", "new-2"]
    assert (store.run(), open_store(storing).run()) == (0, 0)


def test_old_files_go(tmp_path: Path) -> None:
    FileLog(tmp_path, EVENT_LOG).append([event("old"), event("new", time=time.time())])
    store = store_of(tmp_path, days=30)
    store.run()
    assert stored(store)["id"].to_list() == ["new"]


def test_of_too_many_bytes_the_oldest_days_go_and_the_last_one_stays(tmp_path: Path) -> None:
    now = time.time()
    log = FileLog(tmp_path, EVENT_LOG)
    log.append([event(f"{days} days ago", time=now - 86_400 * days) for days in range(3)])
    store_of(tmp_path).run()
    whole = sum(file.stat().st_size for file in store_of(tmp_path).done.files())
    store = store_of(tmp_path, most_bytes=whole - 1)
    store.run()
    assert sorted(stored(store)["id"]) == ["0 days ago", "1 days ago"]
    store = store_of(tmp_path, most_bytes=1)
    store.run()
    assert stored(store)["id"].to_list() == ["0 days ago"]


def test_redis_is_trimmed_once_all_is_in_files(tmp_path: Path, redis_server: RedisServer) -> None:
    log = RedisLog(redis_server.url, EVENT_LOG)
    log.append([event(str(n)) for n in range(50)])
    storing = Storing(folder=tmp_path, log_url=redis_server.url, keep=10)
    store = open_store(storing)
    assert store.run() == 50
    assert [entry.position for entry in everything(log)] == [*range(31, 51)]
    log.append([event("next")])
    assert (open_store(storing).run(), len(stored(store))) == (1, 51)


def test_kafka_is_read_on_from_what_is_in_files(tmp_path: Path) -> None:
    """Its broker keeps all: what was stored is not stored again."""
    with kafka_broker("bbqrec-events") as address:
        storing = Storing(folder=tmp_path, kafka=address, keep=10)
        log = open_events(storing)
        log.append([event(str(n)) for n in range(50)])
        store = open_store(storing)
        assert store.run() == 50
        log.append([event("next")])
        assert (open_store(storing).run(), len(stored(store))) == (1, 51)


def test_killed_at_any_moment_nothing_is_lost_or_twice(tmp_path: Path) -> None:
    log, sent = FileLog(tmp_path, EVENT_LOG), 0
    storing = Storing(folder=tmp_path, every=0.01, keep=50)
    for pause in (0.6, 0.9, 1.2):
        process = subprocess.Popen(
            [sys.executable, "-m", "service.events.program"], stdin=subprocess.PIPE
        )
        assert process.stdin is not None
        process.stdin.write(storing.model_dump_json().encode() + b"\n")
        process.stdin.flush()
        until = time.monotonic() + pause
        while time.monotonic() < until:
            log.append([event(str(sent + n), time=NOON + n * HOUR) for n in range(5)])
            sent += 5
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdin.close()
    store = open_store(storing)
    store.run()
    assert sorted(map(int, stored(store)["id"])) == [*range(sent)]


def test_a_full_disk_is_waited_for_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    log = FileLog(tmp_path, EVENT_LOG)
    log.append([event(str(n), user_id=f"user-{n}") for n in range(2000)])
    hour = tmp_path / "done" / "date=2023-11-14" / "hour=22"
    hour.mkdir(parents=True)
    (hour / ".left.parquet").write_bytes(b"by one that was killed")
    process = subprocess.Popen(
        [sys.executable, "-m", "service.events.program"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stderr is not None
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    storing = Storing(folder=tmp_path, every=0.05)
    process.stdin.write(storing.model_dump_json().encode() + b"\n")
    process.stdin.flush()
    for _ in range(2):
        assert b"events cannot be stored now" in process.stderr.readline()
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    _, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert len(stored(open_store(storing))) == 2000
    assert not [*hour.glob(".*")]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    """Nothing is stored until it is away: somebody has to find it among thousands."""
    log = FileLog(tmp_path, EVENT_LOG)
    log.append([event("1")])
    store_of(tmp_path).run()
    (file,) = store_of(tmp_path).done.files()
    whole = file.read_bytes()
    for damaged in (b"", whole[:100], whole[:-30] + whole[:30]):
        file.write_bytes(damaged)
        log.append([event(f"{len(damaged)}")])
        with pytest.raises(OSError, match=f"{file} cannot be read"):
            store_of(tmp_path).run()
    with pytest.raises(OSError, match=f"{file} cannot be read"):
        store_of(tmp_path).done.forget(["ada"])
    file.unlink()
    assert store_of(tmp_path).run() == 3


@pytest.mark.parametrize("damaged", [b"", b"{", b'{"position": "here"}'])
def test_where_it_is_not_known_what_is_stored_each_event_is_stored_once(
    tmp_path: Path, damaged: bytes
) -> None:
    log = FileLog(tmp_path, EVENT_LOG)
    log.append([event("1"), event("2")])
    store_of(tmp_path).run()
    Progress.file(tmp_path).write_bytes(damaged)
    log.append([event("3")])
    store = store_of(tmp_path)
    store.run()
    assert sorted(stored(store)["id"]) == ["1", "2", "3"]
    assert Progress.read(tmp_path).position == 3


def test_what_has_come_is_stored_before_the_process_ends(tmp_path: Path) -> None:
    log, storing = FileLog(tmp_path, EVENT_LOG), Storing(folder=tmp_path, every=60)
    log.append([event("first")])
    process = subprocess.Popen(
        [sys.executable, "-m", "service.events.program"], stdin=subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(storing.model_dump_json().encode() + b"\n")
    process.stdin.flush()
    assert eventually(Progress.file(tmp_path).exists)
    log.append([event("last")])
    process.stdin.close()
    assert process.wait(30) == 0
    assert sorted(stored(open_store(storing))["id"]) == ["first", "last"]


def test_a_place_that_no_table_can_hold_is_none(tmp_path: Path) -> None:
    """A log of an earlier release may have it; what comes after it is stored all the same."""
    log = FileLog(tmp_path, EVENT_LOG)
    log.append([event("1")._replace(position=10**19), event("2")._replace(position=3)])
    open_store(Storing(folder=tmp_path)).run()
    rows = pl.read_parquet([*(tmp_path / "done").rglob("*.parquet")]).sort("id")
    assert rows["position"].to_list() == [None, 3]
