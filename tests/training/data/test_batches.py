import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.contract.ragged import before_each
from training.data.batches import (
    EpochShuffle,
    LengthBuckets,
    gather,
    training_windows,
)
from training.data.histories import Histories, Windows


def histories(lengths: list[int]) -> Histories:
    offsets = before_each(lengths)
    items = np.arange(offsets[-1], dtype=np.int32)
    return Histories(offsets, items, np.zeros(len(items), np.uint8))


@given(st.lists(st.integers(0, 40), min_size=1, max_size=20), st.integers(1, 12))
def test_windows_hold_every_transition_exactly_once(lengths: list[int], most: int) -> None:
    data = histories(lengths)
    windows = training_windows(data, most)
    learned = [
        (at, at + 1)
        for start, length in zip(windows.start.tolist(), windows.length.tolist(), strict=True)
        for at in range(start, start + length - 1)
    ]
    expected = [
        (at, at + 1)
        for first, last in zip(data.offsets[:-1], data.offsets[1:], strict=True)
        for at in range(first, last - 1)
    ]
    assert sorted(learned) == expected
    assert all(length <= most + 1 for length in windows.length)


def test_gather_pads_on_the_right() -> None:
    batch = gather(np.arange(10, 20, dtype=np.int32), Windows(np.array([0, 7]), np.array([2, 3])))
    assert batch.items_BT.tolist() == [[10, 11, 0], [17, 18, 19]]
    assert batch.length_B.tolist() == [2, 3]


@given(st.lists(st.integers(2, 50), min_size=1, max_size=200), st.integers(50, 400))
def test_an_epoch_holds_every_window_once_in_batches_of_like_length(
    lengths: list[int], tokens: int
) -> None:
    length = np.array(lengths)
    sampler = LengthBuckets(length, tokens, seed=1)
    batches = list(sampler)
    assert sorted(row for batch in batches for row in batch) == list(range(len(length)))
    assert all(length[batch].sum() <= tokens + 50 for batch in batches)
    padded = sum(len(batch) * length[batch].max() for batch in batches)
    # Sorted but for 10% of noise: all steps up within batches together reach the longest, once.
    largest = max(len(batch) for batch in batches)
    assert padded <= (1.1 / 0.9) * (length.sum() + largest * length.max())


def test_epochs_differ_and_are_reproducible() -> None:
    length = np.random.default_rng(0).integers(2, 50, 300)
    one, other = LengthBuckets(length, 500, seed=1), LengthBuckets(length, 500, seed=1)
    assert list(one) == list(other)
    other.set_epoch(1)
    assert list(one) != list(other)


@given(st.integers(1, 40), st.integers(1, 9))
def test_a_shuffled_epoch_holds_every_row_once(rows: int, at_once: int) -> None:
    order = EpochShuffle(rows, at_once, seed=1)
    some = list(order)
    assert len(order) == len(some)
    assert [len(each) for each in some[:-1]] == [at_once] * (len(some) - 1)
    assert sorted(row for each in some for row in each) == list(range(rows))
    order.set_epoch(1)
    assert rows < 9 or list(order) != some
