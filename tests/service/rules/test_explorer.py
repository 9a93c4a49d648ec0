"""Odds are what is drawn, counted."""

import math
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contract.types import FloatArray
from service.retrieval.rows import Rows
from service.rules.explorer import Explorer
from service.rules.parts import Pool
from service.rules.rules import Boost, Explore, Rules
from service.rules.slots import Slots

DRAWS = 20_000


class Facts:
    """Rows without attributes; row n was used n times."""

    def attributes(self, row: int) -> dict[str, object]:
        return {}

    def vectors(self, rows: list[int]) -> FloatArray:
        return np.ones((len(rows), 1), np.float32)

    def uses(self, rows: list[int]) -> Rows:
        return np.array(rows, np.int64)


def pool(items: int, new: list[int]) -> Pool:
    """Rows in their order; some are new."""
    rows_J = np.arange(items)
    return Pool(rows_J, -rows_J.astype(np.float32), np.isin(rows_J, new)[:, None])


@given(share=st.floats(0.01, 1), slots=st.integers(1, 50), seed=st.integers(0, 99))
def test_so_many_slots_are_explored_as_the_share_says(share: float, slots: int, seed: int) -> None:
    explorer = Explorer(Explore(share), [*range(99)], [1.0] * 99, random.Random(seed))
    explored = sum(explorer.wants(slot) for slot in range(slots))
    assert math.floor(share * slots - 1e-9) <= explored <= math.ceil(share * slots + 1e-9)


@pytest.mark.parametrize("share", [0.25, 0.6])
def test_odds_are_how_often_an_item_is_in_its_slot(share: float) -> None:
    dice, k = random.Random(0), 4
    rules = Rules(explore=Explore(share))
    often: Counter[tuple[int, int]] = Counter()
    odds: dict[tuple[int, int], float] = {}
    for _ in range(DRAWS):
        slots = Slots(k, pool(10, new=[5, 6, 7, 8]), {}, rules, Facts(), dice).fill()
        for place, slot in enumerate(slots):
            assert slot.odds is not None
            often[place, slot.candidate] += 1
            odds.setdefault((place, slot.candidate), slot.odds)
    for at, expected in odds.items():
        error = math.sqrt(expected * (1 - expected) / DRAWS)
        assert abs(often[at] / DRAWS - expected) < 4.5 * error, at


def test_what_was_used_less_is_drawn_more_often() -> None:
    rules, dice = Rules(explore=Explore(0.5, by="uncertainty")), random.Random(0)
    drawn: Counter[int] = Counter()
    for _ in range(2_000):
        slots = Slots(2, pool(60, new=[3, 48]), {}, rules, Facts(), dice).fill()
        drawn.update(slot.candidate for slot in slots if slot.explored)
    assert drawn[3] / drawn[48] == pytest.approx(math.sqrt(49 / 4), rel=0.15)


def test_no_odds_are_told_where_other_rules_move_items_too() -> None:
    boosts = [Boost(item_ids=["any"], share=0.5)]
    marks_JM = np.zeros((10, 2), np.bool_)
    marks_JM[5:, 1] = True
    drawn = pool(10, [])._replace(marks_JM=marks_JM)
    rules = Rules(boosts=boosts, explore=Explore(0.5))
    slots = Slots(4, drawn, {}, rules, Facts(), random.Random(0)).fill()
    assert [slot.odds for slot in slots] == [None] * 4


def test_nothing_is_explored_that_is_shown_anyway() -> None:
    rules = Rules(explore=Explore(1.0))
    slots = Slots(4, pool(10, new=[0, 1, 2, 3]), {}, rules, Facts(), random.Random(0)).fill()
    assert [(slot.candidate, slot.explored) for slot in slots] == [(n, False) for n in range(4)]


def test_odds_of_what_is_less_known_are_told_where_one_slot_at_most_is_explored() -> None:
    """In a second one they would depend on what the first one got."""
    dice, uncertain = random.Random(0), Explore(0.25, by="uncertainty")
    few = Slots(4, pool(10, new=[5, 6, 7, 8]), {}, Rules(explore=uncertain), Facts(), dice)
    assert all(slot.odds is not None for slot in few.fill())
    more = Slots(5, pool(10, new=[5, 6, 7, 8]), {}, Rules(explore=uncertain), Facts(), dice)
    assert [slot.odds for slot in more.fill()] == [None] * 5
