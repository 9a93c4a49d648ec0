"""What leaves the log stays counted: who starts after it knows the same as who was there before."""

from pathlib import Path

import pytest

from service.events import trimmed
from service.events.event_log import EVENT_LOG
from service.events.feed import Feed
from service.events.outcomes import Counting, Outcomes
from service.events.record import Erased, Merged, Record, Split
from service.events.store import open_store
from service.events.storing import Storing
from service.events.users import Users
from service.log.file_log import FileLog
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


def replayed(folder: Path) -> Outcomes:
    outcomes = Outcomes(COUNTING)
    feed = Feed(Users([], 1, 1), Metrics(), outcomes=outcomes, trimmed=lambda: trimmed.read(folder))
    feed.replay(FileLog(folder, EVENT_LOG))
    return outcomes


def test_who_starts_after_the_log_was_trimmed_knows_the_same(tmp_path: Path) -> None:
    log = FileLog(tmp_path, EVENT_LOG)
    log.append(records())
    before = replayed(tmp_path)
    storing = Storing(folder=tmp_path, keep=20, counting=COUNTING)
    assert Storing.model_validate_json(storing.model_dump_json()) == storing
    open_store(storing).run()
    assert len(log.reader().read(1000)) == 20
    assert replayed(tmp_path).state(0) == before.state(0)
    log.append([event("again", "user-3", "y", recommendation_id=str(n)) for n in range(50, 60)])
    log.append([answer(f"more-{n}", "eve", "x", model="A", time=NOON) for n in range(40)])
    whole = replayed(tmp_path)
    open_store(storing).run()
    assert replayed(tmp_path).state(0) == whole.state(0)


def test_killed_between_counting_and_trimming_nothing_counts_twice(tmp_path: Path) -> None:
    FileLog(tmp_path, EVENT_LOG).append(records())
    before = replayed(tmp_path)
    trimmed.count(tmp_path, COUNTING, FileLog(tmp_path, EVENT_LOG), 70)
    assert replayed(tmp_path).state(0) == before.state(0)
    trimmed.count(tmp_path, COUNTING, FileLog(tmp_path, EVENT_LOG), 90)
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
