from hypothesis import given
from hypothesis import strategies as st

from service.engine.lengths import _RUN_COSTS, by_length


@given(st.lists(st.integers(1, 200), min_size=1, max_size=64))
def test_every_row_is_in_one_group_and_little_is_padded(lengths: list[int]) -> None:
    groups = list(by_length(lengths))
    assert sorted(row for group in groups for row in group) == list(range(len(lengths)))
    for group in groups:
        sizes = [lengths[row] for row in group]
        assert sizes == sorted(sizes, reverse=True)
        # Nobody is padded by more than it would have cost to begin a new group with them.
        assert all((sizes[0] - n) * (len(sizes) - i) <= _RUN_COSTS for i, n in enumerate(sizes))


def test_a_long_history_does_not_make_the_short_ones_long() -> None:
    assert list(by_length([5, 200, 5, 5])) == [[1], [0, 2, 3]]


def test_alike_histories_are_one_run() -> None:
    assert list(by_length([5, 6, 7, 8])) == [[3, 2, 1, 0]]
