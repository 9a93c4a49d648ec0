"""Outcomes: what came of which answer, whose it is, and what counts nowhere."""

import random
from typing import Any

import pytest

from service.events import answers
from service.events.once import Once
from service.events.outcomes import Counting, Outcomes, State
from service.events.record import Erased, Event, Merged, Record, Shown, Split
from service.experiments.sums import Sums
from tests.service.events.made import NOON, answer, event

HOUR = 3600.0
BEGIN = Split(NOON, "A", "B", 0.5)


def told(*records: Record, most_callers: int = 100) -> Outcomes:
    counting = Counting(frozenset({"click"}), frozenset({"purchase"}), 24.0, most_callers)
    outcomes = Outcomes(counting)
    for record in (BEGIN, *records):
        outcomes.hear(record)
    return outcomes


def shown(name: str, model: str, user: str | None = "ada", *items: str, **more: Any) -> Shown:
    return answer(name, user, *(items or ("x", "y")), model=model, **more)


def did(name: str, item: str = "x", to: str | None = None, **more: Any) -> Event:
    return event(name, item_id=item, recommendation_id=to, **more)


def later(hours: float, model: str = "A") -> Shown:
    """An answer to nobody, that lets time go on."""
    return shown(f"later-{hours}", model, None, "z", time=NOON + hours * HOUR)


def counts(outcomes: Outcomes) -> dict[str, tuple[int, int, int, float]]:
    assert outcomes.trial is not None
    variants = outcomes.trial.roles().values()
    return {v.model: (v.answers, v.clicks, v.conversions, v.value) for v in variants}


def sums(outcomes: Outcomes, role: str = "current") -> Sums:
    assert outcomes.trial is not None
    return outcomes.trial.roles()[role].sums


def test_an_outcome_is_that_of_the_answer_it_names() -> None:
    outcomes = told(
        shown("1", "A"), shown("2", "B", "bob"),
        did("a", to="1"), did("b", "y", to="1"), did("c", to="2", type="purchase", value=5.0),
    )  # fmt: skip
    assert counts(outcomes) == {"A": (1, 1, 0, 0.0), "B": (1, 0, 1, 5.0)}


def test_one_that_names_none_is_that_of_the_latest_answer_with_the_item() -> None:
    outcomes = told(
        shown("1", "A"), shown("2", "A", "ada", "y", time=NOON + 10), shown("3", "A", "bob"),
        did("a", time=NOON + 20), did("b", "y", type="purchase", value=2.0, time=NOON + 20),
        did("c", "z", time=NOON + 20), event("d", "eve", "x", time=NOON + 20),
    )  # fmt: skip
    assert [each.clicked for each in outcomes.answers.by_name().values()] == [True, False, False]
    assert counts(outcomes)["A"] == (3, 1, 1, 2.0)
    assert outcomes.passed.elsewhere == 2


def test_what_was_not_shown_is_too_late_or_of_no_interest_counts_nowhere() -> None:
    outcomes = told(
        shown("1", "A"), did("a", "other", to="1"), did("b", to="gone"),
        did("c", to="1", time=NOON + 25 * HOUR), did("d", to="1", time=NOON - HOUR),
        did("e", to="1", type="cart"),
    )  # fmt: skip
    assert counts(outcomes)["A"] == (1, 0, 0, 0.0)
    assert (outcomes.passed.unknown, outcomes.passed.late) == (2, 2)


def test_a_caller_is_counted_once_when_a_window_has_passed() -> None:
    """What came within it, whichever answer it came of; answers after it are of no caller."""
    outcomes = told(
        shown("1", "A"), did("a", to="1"), did("b", to="1", type="purchase", value=3.0),
        shown("2", "A", time=NOON + 20 * HOUR), did("c", to="2", time=NOON + 21 * HOUR),
        did("late", to="2", type="purchase", value=9.0, time=NOON + 24.5 * HOUR),
    )  # fmt: skip
    assert sums(outcomes).callers == 0
    outcomes.hear(later(25.1))
    found = sums(outcomes)
    assert (found.callers, found.answers, found.clicked) == (1, 2, 2)
    assert (found.converted, found.value) == (1, 3.0)
    outcomes.hear(shown("3", "A", time=NOON + 26 * HOUR))
    outcomes.hear(later(60))
    assert sums(outcomes).callers == 2  # ada, and the one of later(25.1)
    assert counts(outcomes)["A"][0] == 5


def test_what_comes_too_late_for_sums_is_said() -> None:
    outcomes = told(shown("1", "A"), later(25.1), did("a", to="1", time=NOON + HOUR))
    assert (sums(outcomes).clicked, outcomes.passed.late) == (0, 1)
    assert counts(outcomes)["A"][1] == 1


def test_who_gets_both_is_the_first_one_s() -> None:
    outcomes = told(
        shown("1", "A"), shown("2", "B"), did("a", to="2"), did("b", to="1"), later(25.1)
    )
    assert sums(outcomes, "canary").callers == 0
    found = sums(outcomes)
    assert (found.callers, found.answers, found.clicked) == (1, 1, 1)
    assert outcomes.passed.crossed == 1
    assert counts(outcomes)["B"] == (1, 1, 0, 0.0)


def test_a_key_is_a_caller_and_who_sends_nothing_is_one_each_time() -> None:
    answers = [shown(f"k{n}", "A", None, caller="hash") for n in range(3)]
    outcomes = told(*answers, shown("1", "B", None), shown("2", "B", None), did("a", to="k2"))
    outcomes.hear(later(25.1))
    assert (sums(outcomes).callers, sums(outcomes).answers, sums(outcomes).clicked) == (1, 3, 1)
    assert sums(outcomes, "canary").callers == 2


def test_too_many_at_a_time_are_not_observed() -> None:
    outcomes = told(*(shown(str(n), "A", f"user-{n}") for n in range(9)), most_callers=5)
    assert (len(outcomes.callers), outcomes.passed.unobserved) == (5, 4)
    outcomes.hear(later(25.1))
    outcomes.hear(shown("again", "A", "user-8", time=NOON + 26 * HOUR))
    assert "uuser-8" in outcomes.callers


def test_another_bundle_or_share_begins_another_trial() -> None:
    outcomes = told(shown("1", "A"), did("a", to="1"))
    outcomes.hear(BEGIN._replace(time=NOON + 5))
    assert counts(outcomes)["A"] == (1, 1, 0, 0.0)  # the same, said by another process
    outcomes.hear(Split(NOON + 9, "A", "B", 0.2))
    assert counts(outcomes) == {"A": (0, 0, 0, 0.0), "B": (0, 0, 0, 0.0)}
    assert [(t.since, t.until, t.current.clicks) for t in outcomes.ended] == [(NOON, NOON + 9, 1)]
    outcomes.hear(shown("2", "C"))  # by a process that is late
    outcomes.hear(did("b", to="1"))
    assert counts(outcomes)["A"] == (0, 0, 0, 0.0)
    for n in range(10):
        outcomes.hear(Split(NOON + 10 + n, f"A{n}"))
    assert len(outcomes.ended) == 2  # of one bundle alone there is nothing to tell


def test_a_user_who_is_erased_leaves_no_name_and_a_guest_s_clicks_are_found() -> None:
    outcomes = told(shown("1", "A", "guest"), Merged("guest", "ada", NOON), did("a"))
    assert counts(outcomes)["A"][1] == 1
    outcomes.hear(Erased("ada", NOON))
    assert (len(outcomes.answers), outcomes.callers) == (0, {})
    outcomes.hear(did("b"))
    assert outcomes.passed.elsewhere == 1


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MOST", 50)
    outcomes = told(*(shown(str(n), "A", f"user-{n % 7}") for n in range(500)))
    assert len(outcomes.answers) == 50
    outcomes.hear(event("old", "user-0", "x", recommendation_id="0"))
    assert outcomes.passed.unknown == 1
    outcomes.hear(event("new", "user-2", "x"))
    assert counts(outcomes)["A"][1] == 1


def test_who_was_heard_of_is_known_and_few_others_are_taken_for_them() -> None:
    once, names = Once(), [f"user-{n}" for n in range(3000)]
    for name in names:
        once.add(name)
    assert all(name in once for name in names)
    assert not any(f"other-{n}" in once for n in range(3000))


def test_what_the_log_says_twice_counts_once() -> None:
    outcomes = told(shown("1", "A"), shown("1", "A"), did("a", to="1"), did("b", to="1"))
    assert counts(outcomes)["A"] == (1, 1, 0, 0.0)


def test_sums_are_those_of_all_events_whatever_their_order() -> None:
    """Events of a day, shuffled: the same callers, clicks and values."""
    rng = random.Random(0)
    users = {f"user-{n}": "AB"[n % 2] for n in range(40)}
    answered = [shown(f"r-{user}", model, user) for user, model in users.items()]
    events: list[Record] = [
        event(f"{user}-{n}", user, "x", type=kind, value=1.0, recommendation_id=f"r-{user}")
        for user in users
        for n, kind in enumerate(rng.choices(["click", "purchase", "view"], k=3))
    ]
    found = []
    for _ in range(3):
        rng.shuffle(events)
        outcomes = told(*answered, *events, later(25.1))
        found.append((counts(outcomes), sums(outcomes), sums(outcomes, "canary")))
    assert found[0] == found[1] == found[2]
    assert found[0][1].callers + found[0][2].callers == 40


def test_one_that_goes_on_from_a_state_comes_to_the_same() -> None:
    """Through JSON, in the middle of it all: values, who is being observed, what has ended."""
    rng = random.Random(1)
    log: list[Record] = [Split(NOON, "A", "B", 0.2)]
    for n in range(600):
        user, model = f"user-{rng.randrange(40)}", rng.choice("AB")
        log.append(shown(str(n), model, user, *rng.sample("vwxyz", 3), time=NOON + n * 500))
        kind = rng.choice(["click", "purchase"])
        to = rng.choice([None, str(n)])
        log.append(event(f"e{n}", user, rng.choice("vwxyz"), type=kind, value=1.5,
                         recommendation_id=to, time=NOON + n * 500 + 60))  # fmt: skip
        if n == 300:
            log.append(BEGIN)
    whole = told(*log)
    for cut in (100, 601, 900):
        state = told(*log[:cut]).state(cut)
        again = Outcomes(whole.counting, State.model_validate_json(state.model_dump_json()))
        for record in log[cut:]:
            again.hear(record)
        assert again.state(1) == whole.state(1)
    assert whole.ended
    assert sums(whole).callers
