"""Scores with a known truth: what the best calibration is can be told by trying all."""

import numpy as np
import pytest
from numpy.typing import NDArray

from models.contract.types import FloatArray
from training.data.histories import EvaluationSet, Windows
from training.data.new_items import Mixed
from training.evaluate.ranking import Task, rank
from training.fit.calibrate import Calibration, Scored, choose

EVENTS, KNOWN, NEW, HIDDEN = 400, 60, 20, 5
ITEMS = KNOWN + NEW + HIDDEN


class Fixed:
    """Scores that are what they are; new items' may be changed."""

    def __init__(self, scores_EN: FloatArray, calibration: Calibration | None = None) -> None:
        self.scores_EN = scores_EN.copy()
        if calibration:
            new = slice(KNOWN, KNOWN + NEW)
            self.scores_EN[:, new] = calibration.scale * scores_EN[:, new] + calibration.offset

    def score(self, items: NDArray[np.int32], windows: Windows) -> FloatArray:
        return self.scores_EN[windows.start].copy()


@pytest.fixture(scope="module")
def truth() -> tuple[FloatArray, Mixed]:
    """Users take by softmax of what suits; of new items a score tells less, and says it too low."""
    random = np.random.default_rng(0)
    suits_EN = random.normal(0, 2, (EVENTS, ITEMS))
    noise_EN = random.gumbel(size=(EVENTS, ITEMS))
    noise_EN[:, KNOWN + NEW :] = -np.inf
    target_E = (suits_EN + noise_EN).argmax(axis=1).astype(np.int32)
    scores_EN = suits_EN.copy()
    scores_EN[:, KNOWN:] = 1.5 * (suits_EN + random.normal(0, 2, suits_EN.shape))[:, KNOWN:] - 6
    row_E = np.arange(EVENTS)
    # Each user's history is one item: of the row's number, so that Fixed finds its scores.
    history = (row_E % ITEMS).astype(np.int32)
    held_out = EvaluationSet(history, row_E, row_E, np.ones(EVENTS, np.int64), target_E)
    new_N, hidden_N = np.zeros(ITEMS, bool), np.zeros(ITEMS, bool)
    new_N[KNOWN : KNOWN + NEW], hidden_N[KNOWN + NEW :] = True, True
    return scores_EN.astype(np.float32), Mixed(held_out, new_N, hidden_N)


def by_ranking(
    scores_EN: FloatArray, mixed: Mixed, calibration: Calibration
) -> NDArray[np.float64]:
    """NDCG@10, that of known items, new ones found and shown, without the short cut."""
    found = rank(Fixed(scores_EN, calibration), Task.of(mixed, filter_seen=True), 10)
    gain_E = np.where(found.rank_E <= 10, 1 / np.log2(found.rank_E + 1), 0)
    new_E = mixed.taken()
    near = np.where(found.rank_E <= 50, 1 / np.log2(found.rank_E + 1), 0)[new_E]
    shown = mixed.new_N[found.top_EK]
    return np.array([gain_E.mean(), gain_E[~new_E].mean(), near.mean(), shown.mean()])


@pytest.mark.parametrize("calibration", [Calibration(), Calibration(0.5, 2.0), Calibration(1, 9)])
def test_what_a_calibration_does_is_what_ranking_with_it_finds(
    truth: tuple[FloatArray, Mixed], calibration: Calibration
) -> None:
    scores_EN, mixed = truth
    found = Scored.by(Fixed(scores_EN), mixed, filter_seen=True).exposure(calibration)
    np.testing.assert_allclose(
        [found.ndcg, found.known_ndcg, found.found, found.shown],
        by_ranking(scores_EN, mixed, calibration),
    )
    assert found.taken == mixed.taken().mean()


def test_what_is_no_number_is_found_nowhere(truth: tuple[FloatArray, Mixed]) -> None:
    scores_EN, mixed = truth
    nothing = Fixed(np.full_like(scores_EN, np.nan))
    found = Scored.by(nothing, mixed, filter_seen=True).exposure(Calibration())
    assert found.ndcg == found.found == found.known_ndcg == 0


def test_new_items_are_shown_as_often_as_they_are_taken_and_found_more_often(
    truth: tuple[FloatArray, Mixed],
) -> None:
    scored = Scored.by(Fixed(truth[0]), truth[1], filter_seen=True)
    chosen = choose(scored, most_cost=1.0)
    assert chosen
    before, after = scored.exposure(Calibration()), scored.exposure(chosen)
    assert before.shown < after.taken / 2
    assert after.taken * 0.9 < after.shown <= after.taken
    assert after.found > 1.1 * before.found
    assert after.ndcg > 1.02 * before.ndcg
    assert chosen.scale < 1  # their scores say more than they know


@pytest.mark.parametrize("most_cost", [0.0, 0.01, 0.03])
def test_known_items_lose_no_more_than_they_may(
    truth: tuple[FloatArray, Mixed], most_cost: float
) -> None:
    scored = Scored.by(Fixed(truth[0]), truth[1], filter_seen=True)
    chosen = choose(scored, most_cost)
    assert chosen
    kept = scored.exposure(chosen).known_ndcg / scored.exposure_of_known().known_ndcg
    assert 1 - most_cost <= kept <= 1
    assert scored.exposure_of_known().shown == 0


def test_scores_that_are_too_high_come_down(truth: tuple[FloatArray, Mixed]) -> None:
    scores_EN, mixed = truth
    flooded = Scored.by(Fixed(scores_EN, Calibration(1.0, 30.0)), mixed, filter_seen=True)
    chosen = choose(flooded, most_cost=1.0)
    assert chosen
    assert flooded.exposure(Calibration()).shown == 1
    assert flooded.exposure(chosen).shown <= flooded.exposure(chosen).taken


def test_nothing_is_chosen_where_nobody_takes_what_is_new(
    truth: tuple[FloatArray, Mixed],
) -> None:
    scores_EN, mixed = truth
    known = mixed.held_out.take(np.flatnonzero(~mixed.taken()))
    scored = Scored.by(Fixed(scores_EN), mixed._replace(held_out=known), filter_seen=True)
    assert choose(scored, most_cost=0.02) is None


@pytest.mark.parametrize(("new", "known"), [(19, EVENTS), (EVENTS, 0)])
def test_nothing_is_chosen_where_too_few_of_either_kind_are_taken(
    truth: tuple[FloatArray, Mixed], new: int, known: int
) -> None:
    scores_EN, mixed = truth
    taken = mixed.taken()
    some = [np.flatnonzero(taken)[:new], np.flatnonzero(~taken)[:known]]
    held_out = mixed.held_out.take(np.concatenate(some))
    scored = Scored.by(Fixed(scores_EN), mixed._replace(held_out=held_out), filter_seen=True)
    assert scored.new_E.sum() == min(new, taken.sum())
    assert choose(scored, most_cost=0.02) is None
