"""What a history brings to mind of live items, and live items of others: as a memory's lists do."""

import numpy as np
import pytest

from models.contract.likeness import NOBODY, Alike
from models.contract.memory import STEPS, Reason
from service.catalogue.live_alike import LiveAlike

SIZE, DECAY = 100, 0.5


def alike(rows: list[int], after: list[float], scale: float = 0.5) -> Alike:
    after_J = np.array(after, np.float32)
    return Alike(np.array(rows, np.int32), after_J, np.float32(scale) * after_J)


@pytest.fixture
def made() -> LiveAlike:
    """Items 100, 101 and 102; the second is like nobody."""
    made = LiveAlike(SIZE, DECAY)
    for each in (alike([7, 3], [4.0, 2.0]), NOBODY, alike([7], [1.0])):
        made.add(each)
    return made


def recalled(made: LiveAlike, *history: int) -> dict[int, float]:
    found = made.recall(history)
    assert found is not None
    return dict(zip(found.rows_J.tolist(), found.scores_J.tolist(), strict=True))


def test_an_item_of_the_bundle_brings_live_ones_to_mind(made: LiveAlike) -> None:
    assert recalled(made, 7) == {100: 2.0, 102: 0.5}
    assert recalled(made, 3) == {100: 1.0}


def test_a_live_item_brings_those_to_mind_that_it_is_like(made: LiveAlike) -> None:
    assert recalled(made, 100) == {3: 2.0, 7: 4.0}


def test_what_is_longer_ago_counts_less_and_all_is_summed(made: LiveAlike) -> None:
    assert recalled(made, 3, 7) == {100: 2.0 + 0.5 * 1.0, 102: 0.5}
    assert recalled(made, 7, *range(20, 20 + STEPS - 1)) == {
        100: 2.0 * DECAY ** (STEPS - 1),
        102: 0.5 * DECAY ** (STEPS - 1),
    }


@pytest.mark.parametrize("history", [(), (101,), (8,), (7, *range(20, 20 + STEPS))])
def test_nothing_comes_to_mind(made: LiveAlike, history: tuple[int, ...]) -> None:
    assert made.recall(history) is None


def test_what_was_handed_out_stays_as_it_was(made: LiveAlike) -> None:
    before = made.recall([7])
    assert before is not None
    made.add(alike([7], [6.0]))
    assert before.rows_J.tolist() == [100, 102]
    assert recalled(made, 7) == {100: 2.0, 102: 0.5, 103: 3.0}


def test_reasons_name_the_item_that_says_most(made: LiveAlike) -> None:
    assert made.reasons([3, 7], [100, 102, 5]) == [
        Reason(7, alike=True),
        Reason(7, alike=True),
        None,
    ]
    assert made.reasons([7, 3], [100]) == [Reason(3, alike=True)]  # 7 is a step back: 1.0 each
    assert made.reasons([100], [3]) == [Reason(100, alike=True)]
