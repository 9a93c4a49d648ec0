from types import SimpleNamespace

import numpy as np
import pytest

from tests.training.small import ITEMS, histories
from training import stage_files
from training.config import RunConfig
from training.data.histories import Histories, Part, targets
from training.data.new_items import Mixed, NewItems
from training.errors import UserError
from training.run import evaluate

SHARE = 0.2
CONFIG = RunConfig.model_validate(
    {
        "name": "small",
        "output": "out",
        "interactions": {"path": "log.csv"},
        "items": {"path": "items.csv"},
        "evaluate": {"cold_share": 0.1},
    }
)


@pytest.fixture(scope="module")
def drawn() -> NewItems:
    return NewItems.drawn(histories(), ITEMS, SHARE, seed=0)


def of_user(flow: Histories, user: int) -> list[int]:
    return [int(item) for item in flow[user]]


def events(mixed: Mixed) -> dict[int, tuple[list[int], int]]:
    """By user: what came before, and what was taken. Only of sets with one event a user."""
    found = mixed.held_out
    rows = zip(found.user, found.start, found.length, found.target, strict=True)
    return {
        int(user): (found.items[start : start + length].tolist(), int(target))
        for user, start, length, target in rows
    }


def test_a_share_of_the_items_is_new_in_each_part(drawn: NewItems) -> None:
    used = len(np.unique(histories().items))
    for part in (Part.VALIDATION, Part.TEST):
        assert (drawn.new_in_N == part).sum() == round(SHARE * used)
    again = NewItems.drawn(histories(), ITEMS, SHARE, seed=0)
    assert (again.new_in_N == drawn.new_in_N).all()
    assert (NewItems.drawn(histories(), ITEMS, SHARE, seed=1).new_in_N != drawn.new_in_N).any()


def test_training_is_shown_none_of_them(drawn: NewItems) -> None:
    assert (drawn.new_in_N[drawn.known.items] == Part.TRAIN).all()
    for user in range(len(drawn.whole)):
        kept = [n for n in of_user(drawn.whole, user) if drawn.new_in_N[n] == Part.TRAIN]
        assert of_user(drawn.known, user) == kept


def test_what_nobody_ever_used_is_told_apart_from_what_is_drawn() -> None:
    wider = NewItems.drawn(histories(), ITEMS + 5, SHARE, seed=0)
    assert wider.unused_N()[-5:].all()
    assert not wider.unused_N()[wider.whole.items].any()
    assert (wider.new_in_N[wider.unused_N()] == Part.TRAIN).all()


def test_without_a_share_everything_is_as_it_was() -> None:
    nothing = NewItems.drawn(histories(), ITEMS, 0.0, seed=0)
    assert (nothing.known.items == nothing.whole.items).all()
    assert (nothing.known.parts == nothing.whole.parts).all()
    mixed = nothing.mixed(Part.TEST, filter_seen=False)
    assert not mixed.taken().any()
    assert not mixed.hidden_N.any()
    assert (
        np.sort(mixed.held_out.target) == np.sort(targets(nothing.whole, Part.TEST).target)
    ).all()


@pytest.mark.parametrize("part", [Part.VALIDATION, Part.TEST])
def test_a_user_takes_what_came_if_it_is_new_then_and_else_the_last_known(
    drawn: NewItems, part: Part
) -> None:
    found = events(drawn.mixed(part, filter_seen=False))
    warm = events(drawn.warm(part, filter_seen=False))
    last = {u: of_user(drawn.whole, u)[part - 3] for u in range(len(drawn.whole))}
    some = 0
    for user, (before, target) in found.items():
        if drawn.new_in_N[last[user]] != part:
            assert (before, target) == warm[user]
            continue
        some += 1
        assert target == last[user]
        whole = of_user(drawn.whole, user)[: part - 3]
        assert before == [n for n in whole if drawn.new_in_N[n] == Part.TRAIN]
    assert some > 10


def test_the_first_new_item_follows_at_least_two_known_ones(drawn: NewItems) -> None:
    cold = drawn.cold(Part.TEST)
    assert (cold.new_N == (drawn.new_in_N == Part.TEST)).all()
    assert (cold.hidden_N == (drawn.new_in_N == Part.VALIDATION)).all()
    found = events(cold)
    assert len(found) == len(cold.held_out.user) > 20
    for user, (before, target) in found.items():
        known, first = list[int](), None
        for item in of_user(drawn.whole, user):
            kind = drawn.new_in_N[item]
            if kind == Part.TEST and len(known) >= 2:
                first = item
                break
            known += [item] if kind == Part.TRAIN else []
        assert (before, target) == (known, first)


def test_what_training_learns_from_is_before_what_validation_and_test_take(
    drawn: NewItems,
) -> None:
    training = drawn.known.up_to(Part.TRAIN)
    for part in (Part.VALIDATION, Part.TEST):
        for user, (before, _) in events(drawn.mixed(part, filter_seen=False)).items():
            learned = of_user(training, user)
            if len(of_user(drawn.known, user)) >= 3:  # shorter ones are all learned from
                assert before[: len(learned)] == learned


def test_in_time_items_are_new_in_the_part_that_they_came_in() -> None:
    """Item 0 is old, 1 came in validation, 2 in test, nobody used 3."""
    flow = Histories(
        np.array([0, 4, 6]),
        np.array([0, 0, 1, 2, 1, 2], np.int32),
        np.array([0, 1, 1, 2, 2, 2], np.uint8),
    )
    found = NewItems.as_they_came(flow, 4)
    assert found.new_in_N.tolist() == [Part.TRAIN, Part.VALIDATION, Part.TEST, Part.TRAIN]
    assert found.known is flow
    validation, test = (found.mixed(p, filter_seen=False) for p in (Part.VALIDATION, Part.TEST))
    assert validation.held_out.target.tolist() == [0, 1]  # every event, after what was before
    assert validation.held_out.length.tolist() == [1, 2]
    assert validation.hidden_N.tolist() == [False, False, True, False]
    assert validation.new_N.tolist() == [False, True, False, False]
    assert test.held_out.target.tolist() == [2, 2]
    assert not test.hidden_N.any()
    assert test.new_N.tolist() == [False, True, True, False]
    assert found.mixed(Part.VALIDATION, filter_seen=True).held_out.target.tolist() == [1]
    assert found.cold(Part.VALIDATION).held_out.target.tolist() == [1]


def test_in_time_what_a_user_had_before_is_left_out_of_all_events() -> None:
    flow = histories()
    items = np.random.default_rng(0).integers(0, 6, len(flow.items)).astype(np.int32)
    found = NewItems.as_they_came(Histories(flow.offsets, items, flow.parts), ITEMS)
    every, fresh = (found.mixed(Part.TEST, filter_seen=seen).held_out for seen in (False, True))
    kept = every.take(np.flatnonzero(~every.had_before()))
    assert 0 < len(kept.user) < len(every.user)
    for expected, told in zip(kept, fresh, strict=True):
        np.testing.assert_array_equal(told, expected)


def test_items_are_not_drawn_if_nobody_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody has the same two items and another: without either, nothing can be held out."""
    rows = [[0, 1, user % 8 + 2] for user in range(10)]
    flow = Histories(
        np.arange(0, 31, 3),
        np.array(rows, np.int32).ravel(),
        np.tile(np.arange(3, dtype=np.uint8), 10),
    )
    prepared = SimpleNamespace(histories=flow, card=SimpleNamespace(items=10))
    monkeypatch.setattr(stage_files, "data", lambda _: prepared)
    refused = 0
    for seed in range(20):
        try:
            new = stage_files.new_items(CONFIG.model_copy(update={"seed": seed}))
        except UserError as error:
            refused += "evaluate.cold_share = 0.1" in str(error)
        else:
            assert all(len(targets(new.known, part).user) for part in Part if part)
    assert 0 < refused < 20


def test_new_items_that_nobody_took_behind_two_known_ones_have_no_table() -> None:
    whole = Histories(np.array([0, 2]), np.array([0, 1], np.int32), np.array([0, 2], np.uint8))
    known = Histories(np.array([0, 1]), np.array([0], np.int32), np.zeros(1, np.uint8))
    new = NewItems(whole, known, np.array([Part.TRAIN, Part.TEST], np.uint8), timed=False)
    assert new.mixed(Part.TEST, filter_seen=False).taken().all()
    assert evaluate._of_new_items(CONFIG, {}, new) is None
