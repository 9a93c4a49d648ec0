"""Lists of followers: what a history brings to mind, and what no training writes."""

from dataclasses import replace

import numpy as np
import pytest

from models.contract import memory as memories
from models.contract.memory import STEPS, Memory, Reason, Recalled


@pytest.fixture
def memory() -> Memory:
    """0 leads to 1 and 2, 1 to 2, 3 to 0; nothing leads on from 2."""
    return Memory(
        np.array([0, 2, 3, 3, 4]),
        np.array([1, 2, 2, 0], np.int32),
        np.array([1, 0.5, 0.8, 0.3], np.float32),
        np.array([0, 0, 1, 0], np.uint8),
        decay=0.5,
        weight=1.0,
    )


def told(memory: Memory, history: list[int]) -> dict[int, float]:
    recalled = memory.recall(history)
    assert recalled.rows_J.tolist() == sorted(set(recalled.rows_J.tolist()))
    return dict(zip(recalled.rows_J.tolist(), recalled.scores_J.tolist(), strict=True))


def test_lists_are_summed_each_weaker_the_longer_ago(memory: Memory) -> None:
    assert told(memory, [0, 1]) == pytest.approx({1: 0.5, 2: 0.8 + 0.25})
    assert told(memory, [1, 0]) == pytest.approx({1: 1.0, 2: 0.5 + 0.4})


def test_nothing_comes_of_what_has_no_list(memory: Memory) -> None:
    """Such as live items, whose rows lie beyond."""
    assert told(memory, [2, 4, 99]) == {}
    assert told(memory, []) == {}


def test_only_the_latest_are_looked_up(memory: Memory) -> None:
    assert told(memory, [3] + [2] * (STEPS - 1)).keys() == {0}
    assert told(memory, [3] + [2] * STEPS) == {}


def test_several_histories_are_as_each_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    random, size = np.random.default_rng(0), 50
    counts = random.integers(0, 9, size)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    items_J = random.integers(0, size, offsets[-1]).astype(np.int32)
    scores_J = random.random(len(items_J)).astype(np.float32)
    memory = Memory(offsets, items_J, scores_J, np.zeros(len(items_J), np.uint8), 0.6, 1.0)
    histories = [random.integers(0, size + 20, n).tolist() for n in [0, 1, 3, 0, 15, 30, 2]]
    for together in (2**31, 3 * size, 1):
        monkeypatch.setattr(memories, "_NUMBERS", together)
        each = memory.recall_each(histories)
        for recalled, history in zip(each, histories, strict=True):
            alone = memory.recall(history)
            assert recalled.rows_J.tolist() == alone.rows_J.tolist()
            assert recalled.scores_J.tolist() == alone.scores_J.tolist()
            expected: dict[int, float] = {}  # list by list, entry by entry
            for back, row in enumerate(reversed(history[-STEPS:])):
                for at in range(offsets[row], offsets[row + 1]) if row < size else ():
                    worth = float(scores_J[at]) * 0.6**back
                    expected[int(items_J[at])] = expected.get(int(items_J[at]), 0.0) + worth
            assert recalled.rows_J.tolist() == sorted(expected)
            told = [expected[row] for row in sorted(expected)]
            np.testing.assert_allclose(recalled.scores_J, told, rtol=1e-5)
    assert memory.recall_each([]) == []


def test_the_reason_is_what_weighs_most(memory: Memory) -> None:
    reasons = memory.reasons([0, 1], [2, 1, 3])
    assert reasons == [Reason(1, alike=True), Reason(0, alike=False), None]
    assert memory.reasons([1, 0], [2]) == [Reason(0, alike=False)]  # 0.5 now, 0.4 a step ago
    assert memory.reasons([4, 99, 2], [1]) == [None]
    assert memory.reasons([3] + [2] * (STEPS - 1), [0]) == [Reason(3, alike=False)]
    assert memory.reasons([3] + [2] * STEPS, [0]) == [None]  # too long ago to be counted


def test_what_comes_to_mind_in_several_ways_is_summed_and_nothing_is_nothing() -> None:
    one, other = (
        Recalled(np.array(rows), np.array(scores, np.float32))
        for rows, scores in (([2, 5], [1.0, 2.0]), ([0, 5], [4.0, 0.5]))
    )
    both = Recalled.together((one, None, other))
    assert both is not None
    assert both.rows_J.tolist() == [0, 2, 5]
    assert both.scores_J.tolist() == [4.0, 1.0, 2.5]
    assert Recalled.together((None, one)) is one
    assert Recalled.together((None, None)) is None
    assert [len(part) for part in Recalled.summed([], [])] == [0, 0]


def test_some_rows_can_be_scaled(memory: Memory) -> None:
    scaled = memory.scaled(np.array([False, False, True, False]), 0.5)
    assert told(scaled, [0]) == pytest.approx({1: 1.0, 2: 0.25})


def test_it_is_stored_and_read(memory: Memory) -> None:
    memory = replace(memory, weight=2.5)
    again = Memory.from_arrays(memory.arrays())
    assert told(again, [0, 1]) == told(memory, [0, 1])
    assert again.reasons([0, 1], [2, 1]) == memory.reasons([0, 1], [2, 1])
    assert (again.decay, again.weight) == (0.5, 2.5)


def test_where_no_weight_was_stored_what_is_heard_weighs_nothing(memory: Memory) -> None:
    """What it would have to weigh beside such a memory is not known."""
    stored = replace(memory, weight=2.5).arrays()
    del stored["weight"]
    assert Memory.from_arrays(stored).weight == 0


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("offsets", np.array([0, 2, 3, 3, 5]), "offsets"),
        ("offsets", np.array([0, 3, 2, 3, 4]), "offsets"),
        ("offsets", np.array([1, 2, 3, 3, 4]), "offsets"),
        ("alike_J", np.zeros(3, np.uint8), "offsets"),
        ("items_J", np.array([1, 2, 2, 4], np.int32), "do not exist"),
        ("items_J", np.array([1, 2, 2, -1], np.int32), "do not exist"),
        ("scores_J", np.array([1, 1, 1, np.nan], np.float32), "no numbers"),
        ("scores_J", np.array([1, 1, 1, np.inf], np.float32), "no numbers"),
        ("scores_J", np.array([1, 1, 1, -0.1], np.float32), "negative"),
    ],
)
def test_what_no_training_writes_is_refused(
    memory: Memory, field: str, value: object, reason: str
) -> None:
    assert memory.check() is memory
    with pytest.raises(ValueError, match=reason):
        replace(memory, **{field: value}).check()  # type: ignore[arg-type]
