"""K-core, de-duplication and splits as properties of arrays."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.config import SplitConfig
from training.data import split
from training.data.histories import Part, first_of_each
from training.errors import UserError

PAIRS = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=60)
Pairs = list[tuple[int, int]]


def codes(pairs: Pairs) -> tuple[split.Codes, split.Codes]:
    """Sorted by user, as everything that reaches these functions is."""
    ordered = np.array(sorted(pairs, key=lambda pair: pair[0]), np.uint32).reshape(-1, 2)
    return ordered[:, 0], ordered[:, 1]


@given(PAIRS, st.integers(0, 4))
def test_k_core_is_the_largest_set_in_which_all_have_k(pairs: Pairs, k: int) -> None:
    user, item = codes(pairs)
    kept = split.k_core(user, item, k)
    for side in (user, item):
        counts = np.bincount(side[kept])
        assert (counts[counts > 0] >= k).all()
    # Peeled one interaction at a time, in any order, the same set is left.
    left = list(range(len(user)))
    while weak := [
        at
        for at in left
        if sum(user[other] == user[at] for other in left) < k
        or sum(item[other] == item[at] for other in left) < k
    ]:
        left.remove(weak[0])
    assert np.flatnonzero(kept).tolist() == left


@given(PAIRS)
def test_first_of_each_keeps_every_pair_once_where_it_was_first(pairs: Pairs) -> None:
    user, item = codes(pairs)
    together = list(zip(user.tolist(), item.tolist(), strict=True))
    expected = [pair not in together[:at] for at, pair in enumerate(together)]
    assert first_of_each(user, item).tolist() == expected


@given(PAIRS)
def test_not_adjacent_leaves_no_repeat_and_every_item(pairs: Pairs) -> None:
    user, item = codes(pairs)
    kept = split.not_adjacent(user, item)
    left = list(zip(user[kept].tolist(), item[kept].tolist(), strict=True))
    assert all(one != other for one, other in pairwise(left))
    assert set(left) == set(zip(user.tolist(), item.tolist(), strict=True))


@given(PAIRS, st.integers(1, 4))
def test_latest_keeps_the_end_of_each_history(pairs: Pairs, most: int) -> None:
    user, item = codes(pairs)
    kept = split.latest(user, most)
    for one in np.unique(user):
        mine = user == one
        assert item[mine & kept].tolist() == item[mine][-most:].tolist()


@given(PAIRS)
def test_leave_one_out_holds_out_the_last_two(pairs: Pairs) -> None:
    user, _ = codes(pairs)
    part = split.leave_one_out(user).part
    for one in np.unique(user):
        mine = part[user == one].tolist()
        held_out = [Part.VALIDATION, Part.TEST] if len(mine) >= 3 else []
        assert mine == [Part.TRAIN] * (len(mine) - len(held_out)) + held_out


@given(
    st.lists(st.integers(0, 1000), min_size=4, max_size=80, unique=True),
    st.sampled_from([(0.1, 0.1), (0.25, 0.5)]),
)
def test_no_part_of_a_temporal_split_is_older_than_the_one_before(
    times: list[int], shares: tuple[float, float]
) -> None:
    seconds = np.array(times)
    config = SplitConfig(kind="temporal", validation_share=shares[0], test_share=shares[1])
    result = split.temporal(seconds, config)
    by_part = [seconds[result.part == part] for part in Part]
    seen = [times for times in by_part if len(times)]
    assert all(one.max() < other.min() for one, other in pairwise(seen))
    for part, share in zip((Part.VALIDATION, Part.TEST), shares, strict=True):
        assert abs(len(by_part[part]) - share * len(times)) <= 1


def test_equal_times_never_straddle_a_cut() -> None:
    seconds = np.array([1, 1, 2, 2, 2, 2, 2, 2, 3, 3])
    result = split.temporal(seconds, SplitConfig(kind="temporal"))
    assert result.part.tolist() == [0, 0, 0, 0, 0, 0, 0, 0, 2, 2]


def test_a_temporal_split_of_one_moment_is_refused() -> None:
    with pytest.raises(UserError, match="nothing to train on"):
        split.temporal(np.ones(10, np.int64), SplitConfig(kind="temporal"))


def test_a_moment_may_be_told_from_which_on_all_is_for_test() -> None:
    seconds = np.array([5, 1, 2, 3, 4, 6, 7, 8, 9, 10])
    result = split.temporal(seconds, SplitConfig(kind="temporal", test_from=8))
    assert seconds[result.part == Part.TEST].tolist() == [8, 9, 10]
    assert seconds[result.part == Part.VALIDATION].tolist() == [7]
    assert (result.validation_from, result.test_from) == (7, 8)
