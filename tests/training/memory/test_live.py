"""What live counts are worth is told by hearing the validation part, and by nothing else."""

import numpy as np
import pytest
from numpy.typing import NDArray

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
