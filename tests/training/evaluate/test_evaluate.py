import numpy as np
import pytest
from numpy.typing import NDArray

from models.contract.types import FloatArray
from tests.training.small import last_two_held_out
from training.data.histories import EvaluationSet, Histories, Part, Windows, targets
from training.evaluate.ranking import Ranking, Task, metrics, rank, ranks_of

ITEMS = 12


def histories(users: int = 40, seed: int = 0) -> Histories:
    random = np.random.default_rng(seed)
    lengths = random.integers(3, 9, users)
    return last_two_held_out([random.permutation(ITEMS)[:n] for n in lengths])


class HashRanker:
    """Scores that depend on the history's items alone, the same however they are batched."""

    def score(self, items: NDArray[np.int32], windows: Windows) -> FloatArray:
        rows = [
            np.random.default_rng(items[start : start + length]).normal(size=ITEMS)
            for start, length in zip(windows.start, windows.length, strict=True)
        ]
        return np.array(rows, np.float32)


def naive_ranks(
    held_out: EvaluationSet, filter_seen: bool, hidden_N: NDArray[np.bool_]
) -> list[int]:
    ranks = []
    for start, length, target in zip(held_out.start, held_out.length, held_out.target, strict=True):
        window = Windows(np.array([start]), np.array([length]))
        scores = HashRanker().score(held_out.items, window)[0]
        seen = set(held_out.items[start : start + length].tolist()) if filter_seen else set()
        kept = [i for i in range(ITEMS) if i not in seen and not hidden_N[i]]
        ahead = [i for i in kept if scores[i] > scores[target]]
        ranks.append(len(ahead) + 1)
    return ranks


@pytest.mark.parametrize("hidden", [[], [2, 7]])
@pytest.mark.parametrize("filter_seen", [True, False])
def test_vectorised_ranks_equal_a_loop_over_users(filter_seen: bool, hidden: list[int]) -> None:
    held_out, hidden_N = targets(histories(), Part.TEST), np.isin(np.arange(ITEMS), hidden)
    found = rank(HashRanker(), Task(held_out, ITEMS, filter_seen, hidden_N), top=5)
    assert found.rank_E.tolist() == naive_ranks(held_out, filter_seen, hidden_N)
    assert not hidden_N[found.top_EK[held_out.target[:, None] != found.top_EK]].any()


def test_seen_items_are_never_among_the_best() -> None:
    held_out = targets(histories(), Part.TEST)
    found = rank(HashRanker(), Task(held_out, ITEMS, filter_seen=True), top=3)
    for row in range(len(held_out.target)):
        start, length = held_out.start[row], held_out.length[row]
        assert not set(found.top_EK[row]) & set(held_out.items[start : start + length].tolist())


def test_ties_count_against_the_model() -> None:
    """A model that scores everything alike must not look good."""

    class Constant:
        def score(self, items: NDArray[np.int32], windows: Windows) -> FloatArray:
            return np.zeros((len(windows.start), ITEMS), np.float32)

    held_out = targets(histories(), Part.TEST)
    found = rank(Constant(), Task(held_out, ITEMS, filter_seen=False), top=3)
    assert (found.rank_E == ITEMS).all()


def test_what_is_no_number_counts_against_the_model() -> None:
    """A model that has diverged must not look perfect."""
    nan = np.nan
    scores_BN = np.array([[nan, nan, nan], [nan, 1, 2], [1, nan, 0], [3, nan, 0]], np.float32)
    assert ranks_of(np.array([0, 0, 0, 0], np.int32), scores_BN).tolist() == [3, 3, 2, 2]


def test_of_numbers_ranks_count_those_that_are_not_worse() -> None:
    """Among ties, and targets and others that are hidden."""
    random = np.random.default_rng(0)
    scores_BN = random.integers(0, 9, (300, ITEMS)).astype(np.float32)
    scores_BN[random.random(scores_BN.shape) < 0.3] = -np.inf
    target_B = random.integers(0, ITEMS, 300).astype(np.int32)
    own_B1 = scores_BN[np.arange(300), target_B][:, None]
    assert np.isinf(own_B1).any()
    assert (ranks_of(target_B, scores_BN) == (scores_BN >= own_B1).sum(axis=1)).all()


def test_where_few_items_are_left_the_list_is_short() -> None:
    """Of twelve items nine were seen: places that are left over show nothing."""
    history, one = np.arange(9, dtype=np.int32), np.array([0])
    held_out = EvaluationSet(history, one, one, np.array([9]), np.array([9], np.int32))
    found = rank(HashRanker(), Task(held_out, ITEMS, filter_seen=True), top=5)
    assert sorted(found.top_EK[0, :3].tolist()) == [9, 10, 11]
    assert found.top_EK[0, 3:].tolist() == [-1, -1]
    assert metrics(found, ITEMS, (5,))["coverage@5"] == 3 / ITEMS


def test_metrics_by_hand() -> None:
    ranking = Ranking(np.array([1, 3, 11]), np.array([[0, 1], [0, 2], [0, 1]]))
    values = metrics(ranking, catalogue_size=10, cutoffs=(2, 10))
    assert values["recall@2"] == pytest.approx(1 / 3)
    assert values["recall@10"] == pytest.approx(2 / 3)
    assert values["ndcg@10"] == pytest.approx((1 + 1 / np.log2(4)) / 3)
    assert values["coverage@2"] == pytest.approx(3 / 10)


def test_targets_that_users_had_before_may_be_left_out() -> None:
    offsets, items = np.array([0, 3, 6, 9]), np.array([5, 6, 5, 5, 6, 7, 7, 7, 7], np.int32)
    flat = Histories(offsets, items, np.array([0, 0, 2] * 3, np.uint8))
    assert targets(flat, Part.TEST).had_before().tolist() == [True, False, True]
    assert targets(flat, Part.TEST, filter_seen=True).user.tolist() == [1]
    assert flat.first_uses().tolist() == [True, True, False, True, True, True, True, False, False]


def test_targets_are_the_first_of_their_part_and_histories_end_before_them() -> None:
    flat = Histories(
        np.array([0, 4, 5, 9]),
        np.array([1, 2, 3, 4, 5, 6, 7, 8, 9], np.int32),
        np.array([0, 1, 2, 2, 2, 0, 0, 0, 1], np.uint8),
    )
    test = targets(flat, Part.TEST)
    assert (test.user.tolist(), test.target.tolist()) == ([0], [3])  # user 1 has no history
    assert (test.start.tolist(), test.length.tolist()) == ([0], [2])
    validation = targets(flat, Part.VALIDATION)
    assert (validation.user.tolist(), validation.target.tolist()) == ([0, 2], [2, 9])
    assert flat.up_to(Part.TRAIN).items.tolist() == [1, 6, 7, 8]
    assert flat.up_to(Part.TRAIN).offsets.tolist() == [0, 1, 1, 4]
