"""Titles are found as somebody types them."""

from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks.reliability.like_intake import LikeIntake
from models.contract.bundle import Bundle
from models.contract.intake import Content
from service.catalogue import titles
from service.catalogue.change import Change
from service.catalogue.live_items import LiveItems
from service.catalogue.titles import Titles
from service.log.log import Entry


class Shelf:
    """What ``Titles`` reads of live items, with titles of our own; the first is used most."""

    def __init__(self, named: Sequence[str | None]) -> None:
        self.named = named
        self.size = len(named)
        self.gone = set[int]()
        self.bundle = self.catalogue = self.live = self
        self.by_popularity_N = np.arange(self.size)
        self.gone_M = np.zeros(0, np.bool_)

    def names(self, rows: Sequence[int]) -> list[tuple[str, str | None]]:
        return [(f"id-{row}", self.named[row]) for row in rows]

    def row(self, item_id: str) -> int | None:
        found = item_id.removeprefix("id-")
        return int(found) if found.isdigit() and int(found) < self.size else None

    def is_gone(self, row: int) -> bool:
        return row in self.gone


FILMS = [
    "Star Wars",
    "Schindler's List",
    "Amélie (2001)",
    "Star Trek: First Contact",
    None,
    "Warst",
]


def found(query: str, limit: int = 10, named: Sequence[str | None] = FILMS) -> list[int]:
    return Titles(Shelf(named)).find(query, limit)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("star", [0, 3]),  # begins a word; the most used first
        ("ar", [0, 3, 5]),  # begins none: in a word
        ("war", [0, 5]),
        ("trek STAR", [3]),  # in any order and letters
        ("schindlers", [1]),
        ("schindler's l", [1]),
        ("amelie 2001", [2]),
        ("id-4", [4]),  # has no title
        ("id-1", [1]),
        ("wars trek", []),
        ("\0", [0, 1, 2, 3, 4, 5]),
        ("!?", [0, 1, 2, 3, 4, 5]),  # no words: the most used
    ],
)
def test_words_are_found(query: str, rows: list[int]) -> None:
    assert found(query) == rows


def test_no_more_are_found_than_were_asked_for() -> None:
    assert found("star", 1) == [0]
    assert found("", 2) == [0, 1]


def test_what_is_deleted_is_not_found() -> None:
    shelf = Shelf(FILMS)
    shelf.gone.add(0)
    searched = Titles(shelf)  # type: ignore[arg-type]
    assert searched.find("star", 10) == [3]
    assert 0 not in searched.find("id-0", 10)


def test_every_piece_of_a_large_catalogue_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(titles, "_AT_ONCE", 4)
    named = [f"Thing {n} of {'many' if n % 3 else 'few'}" for n in range(30)]
    assert found("thing few", 30, named) == list(range(0, 30, 3))
    assert found("thing 29", 30, named) == [29]


def test_what_is_put_while_it_serves_is_found_by_its_title_of_now(tiny: Bundle) -> None:
    items, intake = LiveItems(tiny), LikeIntake(tiny)
    searched = Titles(items)

    def put(position: int, title: str) -> None:
        content = Content(title, {"like": "item-3"})
        change = Change("put", "new", 4e9, content=content)
        items.apply(Entry(position, change), intake.take([content])[0])
        items.publish()

    put(1, "A brand new thing")
    assert searched.find("brand new", 5) == [items.size]
    put(2, "Another thing")
    assert searched.find("brand new", 5) == []
    assert searched.find("another", 5) == [items.size]


def test_without_words_what_is_put_anew_is_where_it_was(tiny: Bundle) -> None:
    items, content = LiveItems(tiny), Content("Another title", {"like": "item-3"})
    change = Change("put", "item-58", 4e9, content=content)
    items.apply(Entry(1, change), LikeIntake(tiny).take([content])[0])
    items.publish()
    assert Titles(items).find("", 3) == [59, items.size, 57]
