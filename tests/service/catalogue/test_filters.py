"""Filters mean the same on the bundle's columns, on one item, and after attributes have changed."""

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.contract.attributes import Attributes, write_attributes
from service.catalogue import matching as matching_module
from service.catalogue.filters import Filter
from service.catalogue.matching import Matching, UnknownAttributeError

NAMES = ("a", "b", "ü")
SCALARS = st.one_of(
    st.sampled_from(["x", "y", "", "1", "1.0", "01", "true", '"x', "1e400", "ü"]),
    st.sampled_from([True, False, 0, 1, 1.0, -1, 2.5, 10**400, -(10**400), 2**53, 2**53 + 1]),
    st.text(max_size=2),
    st.integers(-3, 3),
    st.floats(-3, 3),
)
GIVEN = st.one_of(SCALARS, st.none(), st.lists(SCALARS | st.none(), max_size=3))
ITEM = st.dictionaries(st.sampled_from(NAMES), GIVEN)
NUMBERS = st.one_of(st.integers(-3, 3), st.floats(-3, 3), st.sampled_from([10**400, 1e308]))
OPERATORS = st.fixed_dictionaries(
    {},
    optional={
        "in": st.lists(SCALARS, max_size=3),
        "not": st.lists(SCALARS, max_size=3),
        **dict.fromkeys(("lt", "lte", "gt", "gte"), NUMBERS),
    },
)
ASKED = st.dictionaries(st.sampled_from(NAMES), OPERATORS)


def plainly(asked: dict[str, dict[str, Any]], item: dict[str, Any]) -> bool:
    """What a filter means, in as few words as there are."""

    def equal(one: Any, other: Any) -> bool:
        """A number asked for is also a text that spells it."""
        if isinstance(one, str | bool) or isinstance(other, bool):
            return type(one) is type(other) and one == other
        number = spelled(other)
        return number is not None and as_float(one) == number

    def holds(operator: str, bound: Any, number: float) -> bool:
        limit = as_float(bound)
        return {
            "lt": number < limit, "lte": number <= limit,
            "gt": number > limit, "gte": number >= limit,
        }[operator]  # fmt: skip

    for name, operators in asked.items():
        given = item.get(name)
        values = [v for v in (given if isinstance(given, list) else [given]) if v is not None]
        named = {o: any(equal(w, v) for w in operators[o] for v in values) for o in ("in", "not")
                 if o in operators}  # fmt: skip
        if not named.get("in", True) or named.get("not", False):
            return False
        bounds = {o: v for o, v in operators.items() if o in ("lt", "lte", "gt", "gte")}
        numbers = [n for v in values if (n := spelled(v)) is not None]
        if bounds and not any(all(holds(o, b, n) for o, b in bounds.items()) for n in numbers):
            return False
    return True


def as_float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")


def spelled(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        digits = value.removeprefix("-").lower().replace("e-", "e")
        plain = all(c in "0123456789.e" for c in digits) and digits[:1].isdecimal()
        try:
            return float(value) if plain and value.isascii() and not value.endswith(".") else None
        except ValueError:
            return None
    return as_float(value)


@settings(max_examples=300, deadline=None)
@given(st.lists(ITEM, min_size=1, max_size=12), ASKED)
def test_columns_and_single_items_agree(items: list[dict[str, Any]], asked: dict[str, Any]) -> None:
    wanted = [plainly(asked, item) for item in items]
    made = Filter.of(asked)
    assert [made.matches(item) for item in items] == wanted
    assert made.mask(columns(items), len(items)).tolist() == wanted


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_changed_attributes_and_live_items_are_kept_up_with(data: st.DataObject) -> None:
    """At any moment, whether the filter was asked before or not."""
    items = data.draw(st.lists(ITEM, min_size=1, max_size=12))
    size, now = len(items), dict(enumerate(items))
    matching = Matching(columns(items), size)
    matching.names.update(NAMES)
    matching.numbered.update(NAMES)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(matching_module, "_INLINE", data.draw(st.sampled_from([0, 3])))
        patched.setattr(matching_module, "_SLACK", data.draw(st.sampled_from([0, 4])))
        patched.setattr(matching_module, "MOST_BYTES", data.draw(st.sampled_from([0, 2**20])))
        filters = data.draw(st.lists(ASKED, min_size=1, max_size=3))
        for _ in range(data.draw(st.integers(1, 4))):
            for row in data.draw(st.lists(st.integers(0, size + 5), max_size=8)):
                now[row] = data.draw(ITEM)
                matching.put(row, now[row])
            asked = data.draw(st.sampled_from(filters))
            allowed = asyncio.run(matching.allowed(Filter.of(asked)))
            wanted = {row for row, item in now.items() if plainly(asked, item)}
            assert {*allowed.base.rows.tolist(), *allowed.live.tolist()} == wanted
            assert (allowed.live >= size).all()


def columns(items: list[dict[str, Any]]) -> Attributes:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "attributes.safetensors"
        made = write_attributes(path, map(json.dumps, items))
        return Attributes.load(path) if made else Attributes()


def test_what_no_item_has_is_refused_by_name_until_one_has() -> None:
    matching = Matching(columns([{"b": 1}, {"a": 2}]), 2)
    asked = Filter.of({"c": {"in": [1]}})
    with pytest.raises(UnknownAttributeError, match="items have a, b"):
        asyncio.run(matching.allowed(asked))
    matching.put(2, {"c": 1})
    assert asyncio.run(matching.allowed(asked)).live.tolist() == [2]
    with pytest.raises(UnknownAttributeError, match="no item has any"):
        asyncio.run(Matching(Attributes(), 2).allowed(asked))


def test_a_range_is_refused_by_name_until_an_item_has_a_number_there() -> None:
    """A price with its currency is a text, and the range would find nothing for ever."""
    matching = Matching(columns([{"price": "15,52 €"}, {"price": "$3"}]), 2)
    cheap = Filter.of({"price": {"lt": 20}})
    with pytest.raises(UnknownAttributeError, match="no item has a number here"):
        asyncio.run(matching.allowed(cheap))
    named = Filter.of({"price": {"in": ["$3"]}})
    assert asyncio.run(matching.allowed(named)).base.rows.tolist() == [1]
    matching.put(0, {"price": "15,52"})
    assert asyncio.run(matching.allowed(cheap)).base.rows.tolist() == [0]


def test_a_filter_that_was_asked_before_is_not_evaluated_again() -> None:
    """Nor kept once there is too much: what was not asked for longest goes."""
    matching = Matching(columns([{"a": n} for n in range(100)]), 100)
    filters = [Filter.of({"a": {"lt": n}}) for n in range(4)]

    async def scenario() -> None:
        first = await matching.allowed(filters[0])
        assert await matching.allowed(Filter.of({"a": {"lt": 0.0}})) is first
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(matching_module, "MOST_BYTES", 3_500)
            for each in (filters[1], filters[2], filters[0], filters[3]):
                await matching.allowed(each)
        assert await matching.allowed(filters[0]) is first
        assert filters[1] not in matching._kept

    asyncio.run(scenario())


def test_filters_that_are_long_or_many_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """What they name takes memory, too, and to add up many takes time."""
    matching = Matching(columns([{"a": 1}]), 1)
    monkeypatch.setattr(matching_module, "MOST_BYTES", 1_000_000)

    async def ask() -> tuple[int, int]:
        for n in range(20):
            await matching.allowed(Filter.of({"a": {"in": [f"{n}-{m}" for m in range(2_000)]}}))
        long = len(matching._kept)
        monkeypatch.setattr(matching_module, "MOST_BYTES", 10**9)
        for n in range(600):
            await matching.allowed(Filter.of({"a": {"gte": n}}))
        return long, len(matching._kept)

    long, many = asyncio.run(ask())
    assert long < 6
    assert many == 500


def test_true_is_not_one() -> None:
    """Python holds them for equal: a filter's hash must not."""
    one, true = Filter.of({"a": {"in": [1]}}), Filter.of({"a": {"in": [True]}})
    assert one != true
    assert one == Filter.of({"a": {"in": [1.0]}})
    assert np.array([true.matches({"a": True}), true.matches({"a": 1})]).tolist() == [True, False]
