import time

import numpy as np
import pytest

from training.evaluate import intervals
from training.evaluate.ranking import Ranking, metrics


def ranks(users: int, seed: int = 0, catalogue: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, catalogue + 1, users)


def test_an_interval_holds_the_truth_about_95_times_in_100() -> None:
    truth = float((1 / np.log2(np.arange(1, 11) + 1)).sum() / 40)
    found = [intervals.ndcg(ranks(300, seed)) for seed in range(200)]
    held = np.mean([estimate.low <= truth <= estimate.high for estimate in found])
    assert 0.9 < held < 0.99


def test_means_are_those_of_the_table_and_lie_within() -> None:
    ranking = Ranking(ranks(500), np.zeros((500, 0), np.int64))
    found = intervals.of_ranking(ranking, (5, 10))
    for name, value in metrics(ranking, 40, (5, 10)).items():
        assert found[name].low < value < found[name].high
    estimate = intervals.ndcg(ranking.rank_E)
    assert estimate.value == pytest.approx(metrics(ranking, 40, (10,))["ndcg@10"])
    assert (estimate.low, estimate.high) == found["ndcg@10"]


def test_a_gain_is_paired_by_user() -> None:
    """One place better for everybody is sure, where each model by itself is not."""
    theirs = ranks(400) + 1
    gain = intervals.gain(theirs - 1, theirs)
    assert gain is not None
    assert 0 < gain.low < gain.value < gain.high
    assert gain.high - gain.low < 0.4
    same = intervals.gain(theirs, theirs)
    assert same is not None
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_there_is_no_gain_over_nothing() -> None:
    assert intervals.gain(ranks(50), np.full(50, 99)) is None


def test_a_million_users_cost_no_resampling_of_each() -> None:
    started = time.process_time()
    intervals.ndcg(ranks(1_000_000))
    assert time.process_time() - started < 5  # 1,000 draws of each would take a minute


def test_what_a_user_does_often_is_no_surer_than_users_are() -> None:
    """A hundred users with fifty events each, a fifth of whom the model suits."""
    random, user_E = np.random.default_rng(1), np.repeat(np.arange(100), 50)
    hit_E = random.random(len(user_E)) < np.where(random.random(100) < 0.2, 0.5, 0.02)[user_E]
    ranking = Ranking(np.where(hit_E, 1, 99), np.zeros((0, 0), np.int64))
    apart, together = (intervals.of_ranking(ranking, (10,), user) for user in (None, user_E))
    for metric, (low, high) in together.items():
        assert low < hit_E.mean() < high
        assert high - low > 3 * (apart[metric].high - apart[metric].low)


def test_where_no_two_events_are_of_one_user_it_makes_no_difference_to_name_them() -> None:
    ranking = Ranking(ranks(300), np.zeros((0, 0), np.int64))
    users = np.random.default_rng(0).permutation(900)[:300]
    assert intervals.of_ranking(ranking, (10,), users) == intervals.of_ranking(ranking, (10,))


def test_events_of_a_user_stay_together() -> None:
    """Users whom one model suits throughout, and as many whom the other does: no sure gain."""
    found = []
    for seed in range(60):
        random = np.random.default_rng(seed)
        user_E = np.repeat(np.arange(60), 30)
        mine_E = np.where(random.random(60) < 0.5, 1, 5)[user_E]
        found.append(intervals.gain(mine_E, np.where(mine_E == 1, 5, 1), user_E))
    sure = [each is not None and (each.low > 0 or each.high < 0) for each in found]
    assert np.mean(sure) < 0.12
