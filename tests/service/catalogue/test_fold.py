from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.catalogue import fold
from service.catalogue.change import Change, decode, encode
from service.catalogue.fold import Fold, Mark
from service.log.log import Entry
from tests.service.catalogue.changes import CHANGES, delete, patch, put


def folded(entries: list[Entry[Change]]) -> Fold:
    made = Fold()
    for entry in entries:
        made.apply(entry)
    return made


def as_log(changes: list[Change]) -> list[Entry[Change]]:
    return [Entry(position, change) for position, change in enumerate(changes, start=1)]


def lines(made: Fold) -> list[bytes]:
    return [encode(entry) for entry in made.entries()]


@given(st.lists(CHANGES, max_size=20))
def test_a_line_tells_all_of_a_change(changes: list[Change]) -> None:
    for entry in as_log(changes):
        assert encode(decode(encode(entry))) == encode(entry)


def test_content_comes_back_as_it_was() -> None:
    given_, found = put(), decode(encode(Entry(7, put()))).value
    assert given_.content is not None
    assert found.content is not None
    assert found.content.vectors["scent"].tolist() == [0, 1, 2]
    assert replace(found.content, vectors={}) == replace(given_.content, vectors={})


@given(st.lists(CHANGES, max_size=20), st.integers(0, 20))
def test_what_changes_come_to_is_the_same_however_often_they_are_compacted(
    changes: list[Change], cut: int
) -> None:
    log = as_log(changes)
    early = folded(log[:cut]).entries()
    assert lines(folded([*early, *log[cut:]])) == lines(folded(log))


@given(st.lists(CHANGES, max_size=20), st.integers(0, 20))
def test_who_was_away_while_it_was_compacted_comes_to_the_same(
    changes: list[Change], cut: int
) -> None:
    """It has read up to ``cut``, and gets of what was compacted only what is after that."""
    log = as_log(changes)
    rest = [entry for entry in folded(log).entries() if entry.position > cut]
    found = folded([*log[:cut], *rest])
    assert lines(found) == lines(folded(log))


def test_the_later_version_wins_and_an_earlier_or_the_same_is_stale() -> None:
    mark = Mark().after(Entry(1, put(version=5)))
    assert mark.verdict(put(version=4)) == "stale"
    assert mark.verdict(patch(version=5)) == "stale"
    assert mark.verdict(put(version=6)) == "applied"
    assert mark.verdict(put()) == "applied"
    assert mark.after(Entry(2, put())).version == 6


def test_only_a_put_revives_what_was_deleted() -> None:
    mark = Mark().after(Entry(1, delete()))
    assert mark.verdict(patch()) == "deleted"
    assert mark.verdict(put()) == "applied"


def test_of_deleted_items_the_latest_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Histories hold them; a log that kept all of them would grow for ever."""
    monkeypatch.setattr(fold, "REMEMBERED", 2)
    log = as_log([put(i) for i in "abcd"] + [delete(i) for i in "cab"])
    left = folded(log).entries()
    assert [(e.position, e.value.kind) for e in left if e.value.item_id == "c"] == [(5, "delete")]
    assert [e.position for e in left] == [1, 2, 4, 5, 6, 7]


def test_an_item_is_as_old_as_it_was_when_it_was_put_first() -> None:
    log = as_log([put(), delete(), replace(put(), time=9.0)])
    (left,) = folded(log).entries()
    assert (left.value.time, left.value.since) == (9.0, 1.5)
    assert decode(encode(left)).value.since == 1.5


def test_a_put_forgets_what_was_patched_before_it() -> None:
    (left,) = folded(as_log([put(), patch(), put()])).entries()
    assert left.position == 3
