import numpy as np
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from models.contract.ragged import before_each
from training.data.batches import Batch, TrainingBatches, gather, training_windows
from training.data.histories import Histories, Windows
from training.fit.resident import Resident

CPU = torch.device("cpu")


def made(lists: list[list[int]], weighted: bool = False) -> Histories:
    offsets = before_each([len(items) for items in lists])
    items = np.array([item for each in lists for item in each], np.int32)
    weights = np.arange(len(items), dtype=np.float32) if weighted else None
    return Histories(offsets, items, np.zeros(len(items), np.uint8), weights)


def next_of(batch: Batch) -> torch.Tensor:
    assert batch.place_J is not None
    return batch.items_BT[:, 1:].flatten()[batch.place_J]


@given(
    st.lists(st.lists(st.integers(0, 4), max_size=9), min_size=1, max_size=6),
    st.integers(1, 5),
    st.booleans(),
)
def test_without_repeats_only_what_is_new_to_a_user_is_learned(
    lists: list[list[int]], most: int, repeats: bool
) -> None:
    """And masked by the past of just those positions; windows of nothing new are left out."""
    data = made(lists)
    batches = TrainingBatches(
        data, training_windows(data, most), filter_seen=not repeats, with_past=not repeats
    )
    found = []
    for row in range(len(batches.windows.start)):
        batch = Resident.of(batches, CPU).gather(batches[[row]])
        learned = next_of(batch).tolist()
        assert learned
        found += learned
        for place, item in enumerate(learned if batch.past else []):
            assert batch.past
            had = zip(*(values.tolist() for values in batch.past), strict=True)
            assert item not in [old for old, first, stop in had if first <= place < stop]
    expected = [
        item
        for each in lists
        for at, item in enumerate(each)
        if at and (repeats or item not in each[:at])
    ]
    assert sorted(found) == sorted(expected)


@given(
    st.lists(st.lists(st.integers(0, 4), min_size=2, max_size=9), min_size=1, max_size=6),
    st.integers(1, 5),
    st.booleans(),
)
def test_windows_are_the_same_wherever_they_are_read(
    lists: list[list[int]], most: int, repeats: bool
) -> None:
    """What the host says of them is true, or the last position would be another's."""
    data = made(lists, weighted=True)
    batches = TrainingBatches(
        data, training_windows(data, most), filter_seen=not repeats, with_past=False
    )
    rows = np.random.default_rng(0).permutation(len(batches.windows.start)).tolist()
    assume(rows)
    batch = Resident.of(batches, CPU).gather(batches[rows])
    windows = Windows(batches.windows.start[rows], batches.windows.length[rows])
    expected = gather(data.items, windows)
    torch.testing.assert_close(batch.items_BT, expected.items_BT)
    torch.testing.assert_close(batch.length_B, expected.length_B)
    spots = [at for s, n in zip(*windows, strict=True) for at in range(s + 1, s + n)]
    learned = [at for at in spots if repeats or data.first_uses()[at]]
    assert next_of(batch).tolist() == data.items[learned].tolist()
    assert batch.weight_J is not None
    assert batch.weight_J.tolist() == learned
