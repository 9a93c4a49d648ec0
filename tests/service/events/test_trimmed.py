"""What leaves the log stays counted: who starts after it knows the same as who was there before."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from service.events import trimmed
from service.events.event_log import EVENT_LOG
from service.events.feed import Feed
from service.events.outcomes import Counting, Outcomes
from service.events.record import Erased, Merged, Record, Split
from service.events.store import open_store
from service.events.storing import Storing
from service.events.trimmed import Counted
from service.events.users import Users
from service.log.file_log import FileLog
from service.log.log import Entry, LogError, Reader
from service.metrics import Metrics
from tests.service.events.made import NOON, answer, event

COUNTING = Counting(frozenset({"click"}), frozenset({"purchase"}), 24.0, 100)


def records() -> list[Record]:
    found: list[Record] = [Split(NOON, "A", "B", 0.5)]
    for n in range(60):
        user, model = f"user-{n % 7}", "AB"[n % 7 % 2]
        found.append(answer(str(n), user, "x", "y", model=model, time=NOON + 3600 * n))
        found.append(event(f"e{n}", user, "x", recommendation_id=str(n), time=NOON + 3600 * n))
    return found


def feed_of(folder: Path, outcomes: Outcomes) -> Feed:
    return Feed(Users([], 1, 1), Metrics(), outcomes=outcomes, trimmed=lambda: trimmed.read(folder))


def replayed(folder: Path) -> Outcomes:
    outcomes = Outcomes(COUNTING)
    feed_of(folder, outcomes).replay(FileLog(folder, EVENT_LOG))
    return outcomes


def test_who_starts_after_the_log_was_trimmed_knows_the_same(tmp_path: Path) -> None:
    log = FileLog(tmp_path, EVENT_LOG)
    log.append(records())
    before = replayed(tmp_path)
    storing = Storing(folder=tmp_path, keep=20, counting=COUNTING)
    assert Storing.model_validate_json(storing.model_dump_json()) == storing
    open_store(storing).run()
    assert len(log.reader().read(1000)) == 40 < len(records())
    assert replayed(tmp_path).state(0) == before.state(0)
    log.append([event("again", "user-3", "y", recommendation_id=str(n)) for n in range(50, 60)])
    log.append([answer(f"more-{n}", "eve", "x", model="A", time=NOON) for n in range(40)])
    whole = replayed(tmp_path)
    open_store(storing).run()
    assert replayed(tmp_path).state(0) == whole.state(0)


def test_who_is_forgotten_or_merged_later_counted_until_then(tmp_path: Path) -> None:
    """Whoever starts then finds in the file what came of what they were shown before."""

    def later(name: str, hours: float, *items: str, user: str = "bob") -> Record:
        return answer(name, user, *items, model="A", time=NOON + 3600 * hours)

    def clicked(name: str, user: str, hours: float) -> Record:
        return event(name, user, "x", time=NOON + 3600 * hours)

    trimmed_part = [later("1", 0, "x", user="ada"), later("2", 0, "x", user="guest")]
    log = FileLog(tmp_path, EVENT_LOG)
    log.append([Split(NOON, "A"), *trimmed_part, *(later(str(n), 0) for n in range(10, 20))])
    storing = Storing(folder=tmp_path, keep=5, counting=COUNTING)
    open_store(storing).run()
    assert len(log.reader().read(1000)) == 6  # the split lasts
    log.append([clicked("e1", "ada", 1), clicked("e2", "guest", 1), later("20", 30)])
    log.append([Merged("guest", "eve", NOON), Erased("ada", NOON + 3600 * 31)])
    open_store(storing).run()
    for times in range(2):
        found = replayed(tmp_path)
        assert found.trial is not None
        assert (found.trial.current.clicks, found.trial.current.sums.clicked) == (2, 2)
        log.append([later(f"{times}-{n}", 30) for n in range(20)])
        open_store(storing).run()
    assert "ada" not in (tmp_path / ".outcomes.json").read_text()


def answers(outcomes: Outcomes) -> int:
    assert outcomes.trial is not None
    return sum(variant.answers for variant in outcomes.trial.roles().values())


class Late:
    """A log that cannot be read at first."""

    def __init__(self, reader: Reader[Record]) -> None:
        self.reader = reader
        self.there = False

    def read(self, most: int, patience: float = 0.0) -> list[Entry[Record]]:
        if not self.there:
            self.there = True
            raise LogError("is not there yet")
        return self.reader.read(most, patience)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.reader, name)


def test_what_was_trimmed_counts_where_the_log_is_there_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = FileLog(tmp_path, EVENT_LOG)
    log.append(records())
    whole = replayed(tmp_path)
    open_store(Storing(folder=tmp_path, keep=20, counting=COUNTING)).run()
    late = Late(log.reader())
    monkeypatch.setattr(log, "reader", lambda: late)

    async def follow() -> Outcomes:
        outcomes = Outcomes(COUNTING)
        feed = feed_of(tmp_path, outcomes)
        with pytest.raises(LogError):
            await asyncio.to_thread(feed.replay, log)
        feed.start()
        await asyncio.wait_for(feed.until(121), 10)
        await feed.close()
        return outcomes

    assert asyncio.run(follow()).state(0) == whole.state(0)


def test_in_a_log_begun_anew_all_counts(tmp_path: Path) -> None:
    """For who was there before, who starts while it is empty, and who starts later: these know of
    the log before what was trimmed.
    """
    log = FileLog(tmp_path, EVENT_LOG)
    log.append(records())
    store = open_store(Storing(folder=tmp_path, keep=20, counting=COUNTING))
    store.run()
    counted, left = answers(replayed(tmp_path)), answers(Outcomes(COUNTING, trimmed.read(tmp_path)))

    async def follow() -> list[int]:
        feeds = [feed_of(tmp_path, Outcomes(COUNTING)) for _ in range(2)]
        await asyncio.to_thread(feeds[0].replay, log)
        log.path.unlink()
        await asyncio.to_thread(feeds[1].replay, log)
        log.append([answer(f"new-{n}", "eve", "x", model="A", time=NOON) for n in range(7)])
        for feed in feeds:
            feed.start()
            async with asyncio.timeout(10):
                while feed.position != 7:
                    await asyncio.sleep(0.01)
            await feed.close()
        return [answers(feed.outcomes) for feed in feeds if feed.outcomes]

    assert asyncio.run(follow()) == [counted + 7, left + 7]
    store.run()
    assert answers(replayed(tmp_path)) == left + 7
    log.append([answer(f"more-{n}", "eve", "x", model="A", time=NOON) for n in range(40)])
    store.run()
    assert len(log.reader().read(1000)) == 20
    assert answers(replayed(tmp_path)) == left + 47


def test_killed_between_counting_and_trimming_nothing_counts_twice(tmp_path: Path) -> None:
    FileLog(tmp_path, EVENT_LOG).append(records())
    before = replayed(tmp_path)
    for position in (70, 90):
        counted, reader = Counted(tmp_path, COUNTING), FileLog(tmp_path, EVENT_LOG).reader()
        counted.hear(reader.read(position))
        counted.keep()
        assert counted.position == position
        assert replayed(tmp_path).state(0) == before.state(0)


def test_a_file_of_another_release_is_said_and_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert trimmed.read(tmp_path) is None
    (tmp_path / ".outcomes.json").write_text('{"trial": 7}')
    assert trimmed.read(tmp_path) is None
    assert "outcomes begin with the log" in caplog.text


def test_who_is_erased_is_in_the_file_no_more(tmp_path: Path) -> None:
    log, storing = FileLog(tmp_path, EVENT_LOG), Storing(folder=tmp_path, keep=2, counting=COUNTING)
    log.append(records())
    open_store(storing).run()
    assert "user-3" in (tmp_path / ".outcomes.json").read_text()
    log.append([Merged("user-3", "ada", NOON), Erased("ada", NOON)])
    open_store(storing).run()
    told = (tmp_path / ".outcomes.json").read_text()
    assert "user-2" in told
    assert "user-3" not in told
    assert "ada" not in told


def test_what_was_shown_before_and_is_written_after_is_in_no_process(tmp_path: Path) -> None:
    log = FileLog(tmp_path, EVENT_LOG)
    late = answer("late", "ada", "x", model="A", time=NOON)
    log.append([Split(NOON, "A"), Erased("ada", NOON + 1), late])
    outcomes = Outcomes(COUNTING)
    feed = feed_of(tmp_path, outcomes)
    feed.replay(log)
    assert (len(outcomes.answers), feed.users.get("ada")) == (0, None)
    log.append([answer(f"{n}", None, "x", model="A", time=NOON) for n in range(40)])
    open_store(Storing(folder=tmp_path, keep=5, counting=COUNTING)).run()
    assert "ada" not in (tmp_path / ".outcomes.json").read_text()
