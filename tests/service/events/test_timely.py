"""What a host with a wrong clock wrote weighs no more than what others did."""

import time
from pathlib import Path

from service.events.event_log import EVENT_LOG
from service.events.feed import Feed
from service.events.record import Erased
from service.events.timely import Timely
from service.events.trend import Trend
from service.events.users import Users
from service.log.file_log import FileLog
from service.metrics import Metrics
from tests.service.events.made import answer, event

DAY = 86_400.0


def test_one_event_of_a_year_ahead_outweighs_no_others(tmp_path: Path) -> None:
    log, now = FileLog(tmp_path, EVENT_LOG), time.time() - 10
    log.append([event(f"{n}", f"user-{n}", "popular", time=now + n / 10) for n in range(9)])
    log.append([event("ahead", "ada", "ahead", time=now + 365 * DAY)])
    log.append([event("next", "ada", "next", time=now + 2)])
    users, trend = Users(frozenset({"click"}), 10, 99), Trend(99, 3 * DAY)
    Feed(users, Metrics(), trend=trend).replay(log)
    told = trend.top()
    assert told.item_ids[0] == "popular"
    assert told.now < now + DAY
    user = users.get("ada")
    assert user is not None
    assert user.items == ["ahead", "next"]


def test_what_lies_ahead_is_of_when_the_latest_before_it_was() -> None:
    timely = Timely(lambda: 1000.0)
    times = (5000.0, 900.0, 1200.0, 100.0, 2000.0, 1400.0)
    heard = [timely.of(event(str(n), time=time)).time for n, time in enumerate(times)]
    assert heard == [1000.0, 900.0, 1200.0, 100.0, 1200.0, 1200.0]


def test_who_was_forgotten_by_a_host_that_is_ahead_is_shown_things_as_others_are(
    tmp_path: Path,
) -> None:
    log, now = FileLog(tmp_path, EVENT_LOG), time.time() - 10
    log.append([answer("before", "ada", "a", time=now)])
    log.append([Erased("ada", now + 365 * DAY), answer("after", "ada", "b", time=now + 1)])
    users = Users(frozenset({"click"}), 10, 99)
    Feed(users, Metrics()).replay(log)
    user = users.get("ada")
    assert user is not None
    assert [*user.shown] == ["after"]
