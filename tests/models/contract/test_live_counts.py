"""Live counts: what follows what, as training counts it, fading with time, bounded in size."""

import numpy as np
import pytest

from models.contract import live_counts
from models.contract.live_counts import LiveTransitions
from models.contract.memory import FALL, REACH
from service.events.users import User
from training.data.following import following
from training.data.histories import Histories

DAY = 86_400.0


def fed(histories: list[list[int]], live: LiveTransitions, time: float = 0.0) -> LiveTransitions:
    for history in histories:
        user = User()
        for item in history:
            at = user.step(str(item), time, 1000)
            if at is not None:
                live.step(user.items, at, time)
    return live


def test_counts_are_those_of_training() -> None:
    """Shares of the most frequent, by logarithm, as the memory of a bundle has them."""
    random = np.random.default_rng(0)
    items = 8
    histories = [random.permutation(items)[: random.integers(2, 8)].tolist() for _ in range(200)]
    offsets = np.cumsum([0, *map(len, histories)])
    flat = np.concatenate(histories).astype(np.int32)
    data = Histories(offsets, flat, np.zeros(len(flat), np.uint8))
    counts_NN = following(data, items, REACH, FALL).toarray()
    live = fed(histories, LiveTransitions(100, DAY))
    for item in range(items):
        told = live.followers(str(item))
        assert told is not None
        expected = np.log1p(counts_NN[item]) / np.log1p(counts_NN[item].max())
        found = np.zeros(items)
        found[[int(each) for each in told.item_ids]] = told.shares_J
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_what_follows_rarely_is_worth_little() -> None:
    told = fed([[1, 2]], LiveTransitions(100, DAY)).followers("1")
    assert told is not None
    assert told.shares_J == pytest.approx([np.log(2) / np.log(11)])


def test_a_trend_overtakes_what_was_usual() -> None:
    live = fed([[1, 2]] * 40, LiveTransitions(100, half_life=DAY))
    fed([[1, 3]] * 30, live, time=DAY)
    told = live.followers("1")
    assert told is not None
    assert told.item_ids == ["3", "2"]  # 30 of now, 20 that are left of 40
    np.testing.assert_allclose(told.shares_J, [1.0, np.log1p(20) / np.log1p(30)], rtol=1e-6)


def test_a_late_event_counts_as_of_its_time() -> None:
    live = fed([[1, 2]] * 11, LiveTransitions(100, half_life=DAY), time=10 * DAY)
    fed([[1, 3]] * 11, live, time=0.0)
    told = live.followers("1")
    assert told is not None
    assert told.item_ids == ["2", "3"]
    assert told.shares_J[1] < 0.01


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_counts, "_KEPT", 10)
    live = fed([[0, n] for n in range(1, 500)], LiveTransitions(50, DAY))
    told = live.followers("0")
    assert told is not None
    assert len(told.item_ids) <= 20
    fed([[n, 0] for n in range(1, 500)], live)
    assert len(live) == 50
    assert live.followers("0") is None  # forgotten, for nothing has followed it of late
    assert live.followers("499") is not None


def test_what_was_told_fades_though_nothing_follows_that_item_any_more() -> None:
    """Whether somebody asked before or not: processes tell the same."""
    live = fed([[1, 2]] * 10, LiveTransitions(100, half_life=DAY))
    fresh = fed([[1, 2]] * 10, LiveTransitions(100, half_life=DAY))
    asked = live.followers("1")
    for each in (live, fresh):
        fed([[3, 4]], each, time=10 * DAY)
    assert asked is not None
    now, then = live.followers("1"), fresh.followers("1")
    assert now is not None
    assert then is not None
    assert now.shares_J == pytest.approx(then.shares_J)
    assert now.shares_J < 0.02 * asked.shares_J


def test_counts_go_on_fading_however_long_a_process_lives() -> None:
    live = LiveTransitions(100, half_life=1.0)
    for day in range(0, 100_000, 100):
        fed([[1, 2]], live, time=float(day))
    fed([[1, 3]] * 2, live, time=100_000.0)
    told = live.followers("1")
    assert told is not None
    assert told.item_ids == ["3", "2"]
    assert told.shares_J == pytest.approx([np.log(3) / np.log(11), 0.0], abs=1e-6)
