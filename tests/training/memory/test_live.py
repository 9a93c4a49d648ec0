"""What live counts are worth is told by hearing the validation part, and by nothing else."""

import numpy as np
import pytest
from numpy.typing import NDArray

from models.contract.live_counts import HALF_LIFE
from models.contract.types import FloatArray
from training.data.histories import Histories, Part, Windows
from training.memory import live
from training.memory.live import Passing, Worth, choose_live, memory_of

ITEMS, USERS = 60, 300


class Flat:
    """A model that knows nothing: each score is drawn."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(0)

    def score(self, items: NDArray[np.int32], windows: Windows) -> FloatArray:
        assert windows.length.max() > 0  # as models do, which know no empty batch
        return self.random.random((len(windows.start), ITEMS), np.float32)


def passing(*, fashion: bool) -> Passing:
    """Each user takes a thing in the training part, and one more in the validation part, one user
    after another: with ``fashion`` what follows a thing is the same for all, and was never before.
    """
    random = np.random.default_rng(1)
    first_U = random.integers(0, 5, USERS)
    second_U = first_U + 10 if fashion else random.integers(5, ITEMS, USERS)
    items = np.stack([first_U, second_U], axis=1).astype(np.int32).ravel()
    parts = np.tile(np.array([Part.TRAIN, Part.VALIDATION], np.uint8), USERS)
    times = np.stack([np.arange(USERS), 1_000 + 60 * np.arange(USERS)], axis=1).ravel()
    return Passing(Histories(np.arange(USERS + 1) * 2, items, parts), times)


@pytest.mark.parametrize("filter_seen", [False, True])
def test_a_fashion_that_training_did_not_see_is_worth_hearing_of(filter_seen: bool) -> None:
    worth = choose_live(Flat(), passing(fashion=True), ITEMS, filter_seen)
    assert worth.weight > 0
    memory = memory_of(worth, ITEMS).check()
    assert (memory.weight, memory.decay, len(memory.items_J)) == (worth.weight, worth.decay, 0)
    assert len(memory.recall([1, 2, 3]).rows_J) == 0


def test_of_a_large_catalogue_few_are_scored_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that in a batch nobody may have a history yet."""
    monkeypatch.setattr(live, "_AT_ONCE", ITEMS)
    whole = passing(fashion=True)
    offsets = np.append(whole.histories.offsets, 2 * USERS + 1)
    items = np.append(whole.histories.items, np.int32(7))
    parts = np.append(whole.histories.parts, np.uint8(Part.VALIDATION))
    told = Passing(Histories(offsets, items, parts), np.append(whole.times_J, 5_000))
    assert choose_live(Flat(), told, ITEMS, filter_seen=False).weight > 0


def test_what_nothing_tells_is_worth_nothing() -> None:
    assert choose_live(Flat(), passing(fashion=False), ITEMS, filter_seen=False) == Worth()


def test_without_a_validation_part_nothing_is_chosen() -> None:
    whole = passing(fashion=True)
    parts = np.zeros_like(whole.histories.parts)
    histories = Histories(whole.histories.offsets, whole.histories.items, parts)
    assert choose_live(Flat(), Passing(histories, whole.times_J), ITEMS, False) == Worth()


@pytest.mark.parametrize("filter_seen", [False, True])
def test_events_are_heard_in_the_order_in_which_they_came(filter_seen: bool) -> None:
    """Of users who came at once; what is not recommended again is not asked for, but heard."""
    items = np.array([3, 5, 3, 5, 3, 8], np.int32)
    parts = np.array([0, 1, 0, 1, 1, 1], np.uint8)
    times = np.array([0, 20, 0, 10, 30, 40])
    told = Passing(Histories(np.array([0, 2, 6]), items, parts), times)
    events = list(live._passing(Flat(), told, ITEMS, filter_seen))
    again = [] if filter_seen else [(1, 3)]
    assert [event[:2] for event in events] == [(1, 5), (0, 5), *again, (1, 8)]
    heard = [[(back, rows_J.tolist()) for back, rows_J, _ in event[3]] for event in events]
    assert heard[:2] == [[], [(0, [5])]]
    assert heard[-1] == [(0, [5]), (1, [3]), (2, [5])]  # 3, 5 and 3 again
    for (user, _, scores_N, _), history in zip(events[:2], ([3], [3]), strict=True):
        assert np.isneginf(scores_N[history]).all() == filter_seen, user
        assert np.isneginf(scores_N).sum() == (len(history) if filter_seen else 0)


def test_what_was_heard_long_ago_counts_less() -> None:
    rows = np.array([[3, 5], [3, 5], [3, 8], [3, 9]], np.int32)
    parts = np.tile(np.array([0, Part.VALIDATION], np.uint8), len(rows))
    times = np.repeat(np.array([0, 60, 60, 120]) * int(HALF_LIFE), 2)
    times[2:4] = 1
    told = Passing(Histories(np.arange(len(rows) + 1) * 2, rows.ravel(), parts), times)
    *_, (_, item, _, heard) = live._passing(Flat(), told, ITEMS, filter_seen=False)
    ((_, rows_J, shares_J),) = heard
    shares = dict(zip(rows_J.tolist(), shares_J.tolist(), strict=True))
    assert item == 9
    assert shares[8] > 0.2
    assert shares.get(5, 0) < 0.01


def test_what_was_before_the_last_item_counts_more_where_it_tells_more() -> None:
    """After any of five things comes always the same, whatever was looked at between."""
    random = np.random.default_rng(1)
    first_U, between_U = random.integers(0, 5, USERS), random.integers(20, 25, USERS)
    rows = np.stack([first_U, between_U, 10 + first_U], axis=1).astype(np.int32)
    parts = np.tile(np.array([0, 0, Part.VALIDATION], np.uint8), USERS)
    times = np.repeat(60 * np.arange(USERS), 3)
    told = Passing(Histories(np.arange(USERS + 1) * 3, rows.ravel(), parts), times)
    assert choose_live(Flat(), told, ITEMS, filter_seen=False).decay == max(live.DECAYS)
