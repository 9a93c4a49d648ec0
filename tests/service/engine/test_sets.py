"""Sets of rows: a large one crosses once, and both ends forget the same."""

from collections.abc import Sequence
from weakref import WeakValueDictionary

import numpy as np
import pytest

from service.engine import sets
from service.engine.sets import Receiver, Sender, Told
from service.engine.wire import FrameError
from service.retrieval.rows import RowSet

SIZE = 10_000


def half(seed: int) -> RowSet:
    return RowSet.of(np.random.default_rng(seed).random(SIZE) < 0.5)


def crossed(sender: Sender, receiver: Receiver, rows: Sequence[RowSet]) -> list[str]:
    """In which form each was told; whatever that is, it is the same set."""
    forms = []
    for each in rows:
        told, array = sender.tell(each)
        found = receiver.take(told, iter([] if array is None else [array]))
        np.testing.assert_array_equal(found.rows, each.rows)
        forms.append(told.form)
    return forms


def receiver() -> Receiver:
    return Receiver(SIZE, WeakValueDictionary())


def test_what_was_told_is_known_until_others_were_used_since(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sets, "MOST", 2)
    a, b, c = half(0), half(1), half(2)
    forms = crossed(Sender(), receiver(), [a, a, b, a, c, a, b])
    assert forms == ["bits", "known", "bits", "known", "bits", "known", "bits"]


def test_a_small_one_is_told_each_time_unless_it_is_kept() -> None:
    rows = RowSet(SIZE, rows=np.array([1, 5]))
    sender = Sender()
    assert crossed(sender, receiver(), [rows, rows]) == ["rows", "rows"]
    assert [sender.tell(rows, keep=True)[0].form for _ in range(2)] == ["rows", "known"]


def test_the_same_rows_of_two_workers_are_one_set() -> None:
    interned: WeakValueDictionary[str, RowSet] = WeakValueDictionary()
    found = []
    for _ in range(2):
        told, array = Sender().tell(half(0))
        assert array is not None
        found.append(Receiver(SIZE, interned).take(told, iter([array])))
    assert found[0] is found[1]


@pytest.mark.parametrize(
    ("told", "array"),
    [
        (Told("never told", "known"), None),
        (Told(None, "rows"), np.array([SIZE])),
        (Told(None, "rows"), np.array([-1])),
        (Told(None, "rows"), np.zeros(3, np.float32)),
        (Told(None, "bits"), np.zeros(3, np.uint8)),
        (Told(None, "other"), np.zeros(3, np.uint8)),
    ],
)
def test_what_is_no_set_of_these_rows_is_refused(
    told: Told, array: "np.ndarray[tuple[int], np.dtype[np.generic]] | None"
) -> None:
    with pytest.raises(FrameError):
        receiver().take(told, iter([] if array is None else [array]))
