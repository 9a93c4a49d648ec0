from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from models.contract.ragged import before_each
from models.contract.types import FloatArray
from training.data.histories import EvaluationSet, Windows
from training.data.new_items import Mixed
from training.evaluate import details
from training.evaluate.ranking import Ranking

USERS, ITEMS = 200, 30


def held_out(lengths: Sequence[int]) -> EvaluationSet:
    random = np.random.default_rng(0)
    start = before_each(lengths)
    items = random.integers(0, ITEMS, start[-1]).astype(np.int32)
    target = random.integers(0, ITEMS, len(lengths)).astype(np.int32)
    return EvaluationSet(items, np.arange(len(lengths)), start[:-1], np.array(lengths), target)


def ranking(users: int = USERS, seed: int = 1) -> Ranking:
    random = np.random.default_rng(seed)
    best = np.stack([random.permutation(ITEMS)[:20] for _ in range(users)])
    return Ranking(random.integers(1, ITEMS + 1, users), best)


class Fixed:
    """The same scores for every history."""

    def __init__(self, score_N: FloatArray) -> None:
        self.score_N = score_N

    def score(self, items: NDArray[np.int32], windows: Windows) -> FloatArray:
        return np.tile(self.score_N, (len(windows.start), 1))


def test_slices_hold_every_user_once_and_add_up_to_the_whole() -> None:
    test = held_out(np.random.default_rng(2).integers(1, 60, USERS).tolist())
    ours = ranking()
    found = list(details.slices({"ours": ours}, test, np.arange(ITEMS)))
    whole = np.where(ours.rank_E <= 10, 1 / np.log2(ours.rank_E + 1), 0).mean()
    for by in ("history", "popularity"):
        parts = [part for part in found if part.by == by]
        assert len(parts) == 4
        assert sum(part.users for part in parts) == USERS
        mean = sum(part.users * part.models["ours"].value for part in parts) / USERS
        assert mean == pytest.approx(whole)
        assert all(one.high < other.low for one, other in pairwise(parts))


def test_users_who_are_all_alike_are_one_slice() -> None:
    found = list(details.slices({"ours": ranking()}, held_out([7] * USERS), np.full(ITEMS, 3)))
    assert [(part.low, part.high, part.users) for part in found] == [(7, 7, USERS), (3, 3, USERS)]


def test_examples_are_drawn_by_a_seed_and_show_what_was_ranked() -> None:
    test, ours = held_out([3, 25] * (USERS // 2)), ranking()
    found = details.examples(ours, test, seed=5)
    assert found == details.examples(ours, test, seed=5) != details.examples(ours, test, seed=6)
    assert len(found) == details.EXAMPLES
    for example in found:
        row = next(n for n in range(USERS) if ours.top_EK[n, :10].tolist() == example.best)
        history = test.items[test.start[row] : test.start[row] + test.length[row]]
        assert example.history == history[-10:].tolist()
        assert (example.length, example.target) == (test.length[row], test.target[row])
        assert example.rank == ours.rank_E[row]


def test_an_example_shows_no_more_than_there_is() -> None:
    ours = ranking()
    ours.top_EK[:, 4:] = -1
    found = details.examples(ours, held_out([3] * USERS), seed=5)
    assert all(len(example.best) == 4 and min(example.best) >= 0 for example in found)


def test_the_memory_is_judged_among_known_items() -> None:
    """New items would win everywhere, as what brings them to scale reckons with the memory."""
    new_N = np.arange(ITEMS) >= 20
    test = held_out([4] * USERS)
    test = test._replace(target=test.target % 20)
    mixed = Mixed(test, new_N, np.zeros(ITEMS, np.bool_))
    order = np.arange(ITEMS, 0, -1).astype(np.float32)
    learned = Fixed(np.where(new_N, np.float32(1000), order))
    ours = Fixed(np.where(new_N, np.float32(1000), 2 * order))
    found = details.memory_gain(learned, ours, mixed, filter_seen=False, seed=0)
    assert found.users == USERS
    assert found.without > 0.1
    assert found.gain is not None
    assert (found.gain.value, found.gain.low, found.gain.high) == (0, 0, 0)
