"""Lists one after another, as loops would have it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.contract.ragged import before_each, nth_of_each

COUNTS = st.lists(st.integers(0, 5), max_size=20)


@given(COUNTS)
def test_before_each_is_a_sum_of_those_before(counts: list[int]) -> None:
    found = before_each(counts)
    assert found.dtype == np.int64
    assert found.tolist() == [sum(counts[:n]) for n in range(len(counts) + 1)]


@given(COUNTS)
def test_nth_of_each_counts_within_every_list(counts: list[int]) -> None:
    found = nth_of_each(np.array(counts, np.int64))
    assert found.tolist() == [n for count in counts for n in range(count)]
