"""What changes make of a bundle's catalogue."""

import dataclasses
import json
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as drawing
from hypothesis import strategies as st

from benchmarks.reliability.like_intake import LikeIntake
from models.contract.bundle import Bundle
from models.contract.intake import Content, IntakeError, Taken
from service.catalogue.change import Change
from service.catalogue.fold import Fold
from service.catalogue.live_items import LiveItems
from service.generation.popular import Popular
from service.log.log import Entry
from service.retrieval.selection import Selection
from tests.tiny_bundle import ITEMS, attributes_of

NOW = 4e9  # after any bundle was made


class Written:
    """Live items, and what is written to them."""

    def __init__(self, tiny: Bundle) -> None:
        self.items = LiveItems(tiny)
        self.intake = LikeIntake(tiny)
        self.log: list[Entry[Change]] = []

    def put(self, item_id: str, like: str = "item-3", time: float = NOW, **attributes: int) -> str:
        content = Content(f"{item_id} like {like}", {"like": like}, attributes)
        return self.apply(Change("put", item_id, time, content=content))

    def patch(self, item_id: str, **attributes: int | None) -> str:
        return self.apply(Change("patch", item_id, NOW, attributes=attributes))

    def delete(self, item_id: str, time: float = NOW) -> str:
        return self.apply(Change("delete", item_id, time))

    def apply(self, change: Change) -> str:
        self.log.append(Entry(len(self.log) + 1, change))
        return self.replay(self.log[-1])

    def replay(self, entry: Entry[Change]) -> str:
        taken: Taken | IntakeError | None = None
        if entry.value.content is not None and self.items.wants(entry.value):
            try:
                (taken,) = self.intake.take([entry.value.content])
            except IntakeError as error:
                taken = error
        outcome = self.items.apply(entry, taken)
        self.items.publish()
        return outcome


@pytest.fixture
def written(tiny: Bundle) -> Written:
    return Written(tiny)


def found(items: LiveItems) -> dict[str, tuple[str | None, str]]:
    """All that may be recommended: title and attributes by id."""
    rows = range(items.size + len(items))
    shown = [row for row in rows if not items.is_gone(row)]
    names = items.names(shown)
    assert len({item_id for item_id, _ in names}) == len(names)
    return {
        item_id: (title, json.dumps(items.attributes(row), sort_keys=True))
        for row, (item_id, title) in zip(shown, names, strict=True)
    }


def understood(items: LiveItems) -> dict[str, tuple[list[int], list[float] | None]]:
    """What a history is told of items that were put, be they deleted."""
    told = {item_id: items.codes(item_id) for item_id in IDS}
    return {
        item_id: (codes.codes.tolist(), None if codes.read_D is None else codes.read_D.tolist())
        for item_id, codes in told.items()
        if codes is not None
    }


def semantic_ids(items: LiveItems) -> dict[str, list[int]]:
    """Of all that may be recommended."""
    told = {item_id: items.item(item_id) for item_id in IDS}
    return {item_id: item.semantic_id for item_id, item in told.items() if item is not None}


def popular(items: LiveItems) -> list[str]:
    """All that may be recommended, as somebody gets it of whom nothing is known."""
    everything = items.size + len(items)
    rows = Popular(items).best(everything, Selection(np.zeros(0, np.int64))).items_K
    return [item_id for item_id, _ in items.names(rows.tolist())]


def new(items: LiveItems, since: float) -> set[str]:
    """Items that live, and came no earlier."""
    rows = items.newcomers.since(since).live.tolist()
    return {items.names([row])[0][0] for row in rows if not items.is_gone(row)}


def test_a_new_item_has_a_row_after_the_bundles(written: Written, tiny: Bundle) -> None:
    assert written.put("new", "item-3", price=5) == "applied"
    item = written.items.item("new")
    assert item is not None
    assert (item.row, item.live, item.title) == (ITEMS, True, "new like item-3")
    assert (item.attributes, item.version, item.position) == ({"price": 5}, 1, 1)
    live = written.items.live
    np.testing.assert_array_equal(live.vectors_MD, tiny.item_vectors_ND[[3]])
    assert live.gone_M.tolist() == [False]
    assert not live.gone_N.any()


def test_a_history_may_hold_it(written: Written, tiny: Bundle) -> None:
    written.put("new", "item-3")
    codes = written.items.codes("new")
    assert codes is not None
    assert codes.item_index == ITEMS
    assert codes.read_D is not None
    np.testing.assert_array_equal(codes.read_D, tiny.vectors.read(np.array(3)))
    written.delete("new")
    assert written.items.codes("new") is not None


def test_semantic_ids_stay_unique(written: Written, tiny: Bundle) -> None:
    for number in range(4):
        written.put(f"new-{number}", "item-3")
    ids = [tuple(written.items.semantic_id(row)) for row in range(ITEMS + 4)]
    assert len(set(ids)) == ITEMS + 4
    codes = tiny.semantic_ids.codes_NS[3].tolist()
    assert all(list(found[:-1]) == codes for found in ids[ITEMS:])


def test_an_item_of_the_bundle_is_replaced_and_deleted(written: Written) -> None:
    written.put("item-9", "item-3")
    item = written.items.item("item-9")
    assert item is not None
    assert item.live
    assert np.flatnonzero(written.items.live.gone_N).tolist() == [9]
    written.delete("item-9")
    assert written.items.item("item-9") is None
    assert written.items.live.gone_M.tolist() == [True]
    written.put("item-9", "item-4")
    assert written.items.live.gone_M.tolist() == [True, False]
    assert written.items.counts() == (1, 1)


def test_what_was_used_before_it_was_put_anew_is_as_new_as_it_was(tiny: Bundle) -> None:
    used = dataclasses.replace(tiny.catalogue, first_used_N=np.full(ITEMS, 500, np.int64))
    written = Written(dataclasses.replace(tiny, catalogue=used))
    for item_id in ("new", "item-9"):
        written.put(item_id)
    assert written.items.uses([8, 9, ITEMS, ITEMS + 1]).tolist() == [8, 9, 0, 9]
    since = written.items.newcomers.since
    assert since(400.0).live.tolist() == [ITEMS, ITEMS + 1]
    assert since(600.0).live.tolist() == [ITEMS]


def test_put_with_the_same_content_keeps_its_row(written: Written) -> None:
    """A price a night must not fill the table."""
    for price in range(5):
        written.put("new", "item-3", price=price)
    assert len(written.items) == 1
    item = written.items.item("new")
    assert item is not None
    assert item.attributes == {"price": 4}
    written.delete("new")
    assert written.items.live.gone_M.tolist() == [True]
    written.put("new", "item-3")
    assert written.items.live.gone_M.tolist() == [False]


def test_attributes_are_patched_of_live_items_and_of_the_bundles(written: Written) -> None:
    written.put("new", price=5, stock=1)
    written.patch("new", price=4, stock=None)
    written.patch("item-9", price=3)
    written.patch("item-9", stock=2)
    live, own = written.items.item("new"), written.items.item("item-9")
    assert live is not None
    assert own is not None
    assert live.attributes == {"price": 4}
    assert own.attributes == {**attributes_of(9), "price": 3, "stock": 2}
    assert (own.live, own.version) == (False, 2)


def test_a_put_that_is_older_than_the_bundle_gives_way_to_it(written: Written) -> None:
    """What the bundle does not contain is taken over, however old; deletions and patches stand."""
    assert written.put("item-9", time=0) == "applied"
    assert written.put("new", time=0) == "applied"
    written.delete("item-8", time=0)
    own, live = written.items.item("item-9"), written.items.item("new")
    assert own is not None
    assert live is not None
    assert (own.live, own.version, live.live) == (False, 1, True)
    assert written.items.item("item-8") is None
    written.put("item-8", time=0)
    assert written.items.item("item-8") is not None
    assert not written.items.live.gone_N.any()


def test_a_put_while_a_bundle_is_trained_is_newer_than_its_item_file(tiny: Bundle) -> None:
    """The bundle was finished after it, of a file that was written before."""
    written_at = {"items_as_of": "2026-01-01T00:00:00+00:00"}
    made = {"created_at": "2026-01-01T06:00:00+00:00", **written_at}
    while_trained = datetime(2026, 1, 1, 3, tzinfo=UTC).timestamp()
    for update, live in ((made, True), (made | {"items_as_of": None}, False)):
        manifest = tiny.manifest.model_copy(update=update)
        written = Written(dataclasses.replace(tiny, manifest=manifest))
        written.put("item-9", time=while_trained)
        own = written.items.item("item-9")
        assert own is not None
        assert own.live is live


def test_what_cannot_be_taken_in_leaves_the_item_as_it_was(written: Written) -> None:
    written.put("new", "item-3")
    assert written.put("new", "nothing") == "refused"
    assert written.put("other", "nothing") == "refused"
    item = written.items.item("new")
    assert item is not None
    assert item.title == "new like item-3"
    assert written.items.item("other") is None
    assert set(written.items.refused) == {"new", "other"}
    written.put("new", "item-4")
    written.delete("other")
    assert not written.items.refused


def test_what_the_search_was_given_never_changes(written: Written) -> None:
    written.put("a")
    before = written.items.live
    copies = [array.copy() for array in before]
    for number in range(40):
        written.put(f"new-{number}", f"item-{number}")
    written.delete("a")
    written.delete("item-2")
    for array, copy in zip(before, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_what_is_gone_of_the_bundle_is_the_same_array_while_it_is_the_same(
    written: Written,
) -> None:
    """Much is made of it."""
    before = written.items.live.gone_N
    written.put("new")
    written.delete("new")
    assert written.items.live.gone_N is before


IDS = ["a", "b", "item-1", "item-2"]
CHANGED = st.lists(
    st.tuples(
        st.sampled_from(["put", "patch", "delete"]),
        st.sampled_from(IDS),
        st.sampled_from(["item-3", "item-4"]),
        st.sampled_from([0.0, NOW, NOW + 9]),
    ),
    max_size=25,
)


@given(changes=CHANGED)
@drawing(deadline=None)
def test_what_is_found_is_what_was_put_and_not_deleted_and_compacting_changes_nothing(
    tiny: Bundle, changes: list[tuple[str, str, str, float]]
) -> None:
    written, expected = Written(tiny), {f"item-{n}" for n in range(ITEMS)}
    for kind, item_id, like, time in changes:
        if kind == "put":
            written.put(item_id, like, time, price=1)
            expected.add(item_id)
        elif kind == "patch":
            written.patch(item_id, price=2)
        else:
            written.delete(item_id, time)
            expected.discard(item_id)
    assert set(found(written.items)) == expected
    fold, again = Fold(), Written(tiny)
    for entry in written.log:
        fold.apply(entry)
    for entry in fold.entries():
        again.replay(entry)
    assert found(again.items) == found(written.items)
    assert understood(again.items) == understood(written.items)
    assert semantic_ids(again.items) == semantic_ids(written.items)
    assert popular(again.items) == popular(written.items)
    for since in (0.0, NOW, NOW + 9):
        assert new(again.items, since) == new(written.items, since)


def test_an_item_that_is_put_anew_keeps_its_extra_code_and_nobody_gets_it(
    written: Written, tiny: Bundle
) -> None:
    extras, beyond = [], int(tiny.semantic_ids.extra_N.max())
    for item_id, like in (("a", "item-3"), ("b", "item-3"), ("a", "item-4"), ("c", "item-3")):
        written.put(item_id, like)
        item = written.items.item(item_id)
        assert item is not None
        extras.append(item.semantic_id[-1])
        written.delete("b")
    assert [extra - beyond for extra in extras] == [1, 3, 1, 7]


def test_extra_codes_go_on_where_16_bits_end(tiny: Bundle) -> None:
    extra_N = tiny.semantic_ids.extra_N.astype(np.uint32)
    extra_N[3] = 2**16 - 1
    table = dataclasses.replace(tiny.semantic_ids, extra_N=extra_N)
    written = Written(dataclasses.replace(tiny, semantic_ids=table))
    assert written.put("new", like="item-3") == "applied"
    assert written.items.semantic_id(ITEMS)[-1] == 2**16
