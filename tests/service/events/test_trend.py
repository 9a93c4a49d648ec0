"""What is used most of late: bounded, fading, looked at no more than once a second."""

import pytest

from service.events import trend as module
from service.events.trend import Groups, Trend


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_uses_fade_and_the_most_used_come_first() -> None:
    trend = Trend(9, half_life=10.0, clock=Clock())
    for item, at in ("old", 0.0), ("old", 0.0), ("old", 0.0), ("new", 20.0):
        trend.use(item, at)
    ids, uses_J, now = trend.top()
    assert (ids, now) == (["new", "old"], 20.0)
    assert uses_J.tolist() == pytest.approx([1.0, 0.75])


def test_it_is_told_anew_once_a_second_and_only_where_something_is() -> None:
    clock = Clock()
    trend = Trend(9, half_life=10.0, clock=clock)
    trend.use("a", 0.0)
    first = trend.top()
    trend.use("b", 0.0)
    assert trend.top() is first
    clock.now = 1.0
    second = trend.top()
    assert second.item_ids == ["a", "b"]
    clock.now = 9.0
    assert trend.top() is second


def test_of_many_items_those_used_longest_ago_are_forgotten() -> None:
    trend = Trend(2, half_life=10.0, clock=Clock())
    for item in "abac":
        trend.use(item, 0.0)
    assert trend.top().item_ids == ["a", "c"]


def test_who_has_something_in_common_is_counted_together() -> None:
    groups = Groups(half_life=10.0, clock=Clock())
    groups.use("bikini", 0.0, {"country": "ES", "device": "phone"})
    groups.use("parka", 0.0, {"country": "NO", "device": "phone", "width": 1.5, "page": None})
    assert [told.item_ids for told in groups.top({"country": "NO"})] == [["parka"]]
    both = groups.top({"country": "ES", "device": "phone"})
    assert [told.item_ids for told in both] == [["bikini"], ["bikini", "parka"]]
    assert groups.top({"country": "FR", "width": 1.5, "page": None, "no": "ES"}) == []


def test_of_many_groups_those_that_did_nothing_for_longest_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What only one has, a session, drives out nothing that others go on to have."""
    monkeypatch.setattr(module, "_GROUPS", 2)
    groups = Groups(half_life=10.0, clock=Clock())
    for session in range(9):
        groups.use("a", 0.0, {"country": "ES", "session": session})
    assert groups.top({"country": "ES"})
    assert groups.top({"session": 8})
    assert not groups.top({"session": 7})


def test_from_another_half_life_on_what_was_counted_is_worth_what_it_is_worth() -> None:
    trend = Trend(9, half_life=10.0, clock=Clock())
    trend.use("a", 0.0)
    trend.use("b", 10.0)
    trend.fade_by(5.0)
    trend.use("c", 20.0)
    told = dict(zip(trend.top().item_ids, trend.top().uses_J.tolist(), strict=True))
    assert told == pytest.approx({"a": 0.125, "b": 0.25, "c": 1.0})
