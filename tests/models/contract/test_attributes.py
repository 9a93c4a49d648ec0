"""Columns of attributes: every value is found in the rows that have it, and nowhere else."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.contract.attributes import Attributes, Values, number_of, values_of, write_attributes


def columns(tmp_path: Path, objects: list[dict[str, Any] | None]) -> Attributes:
    path = tmp_path / "attributes.safetensors"
    assert write_attributes(path, (None if each is None else json.dumps(each) for each in objects))
    return Attributes.load(path)


def test_values_are_found_by_name_and_numbers_in_their_order(tmp_path: Path) -> None:
    found = columns(
        tmp_path,
        [
            {"colour": "red", "price": 3},
            None,
            {"colour": ["red", "blue", "red"], "price": 2.5},
            {"price": "10", "new": True, "colour": None},
        ],
    )
    assert set(found) == {"colour", "price", "new"}
    colour, price, new = found["colour"], found["price"], found["new"]
    assert colour.with_term('"red').tolist() == [0, 2]
    assert colour.with_term('"blue').tolist() == [2]
    assert colour.with_term('"b').tolist() == []
    assert colour.with_term('"zebra').tolist() == []
    assert new.with_term("true").tolist() == [3]
    assert price.with_number(3.0).tolist() == [0]
    assert price.with_term('"10').tolist() == [3]
    assert price.between(2.5, 10.0, False, False).tolist() == [2, 0, 3]
    assert price.between(2.5, 10.0, True, True).tolist() == [0]
    assert price.between(4.0, 2.0, False, False).tolist() == []


def test_what_is_no_value_is_none() -> None:
    assert values_of(None) == values_of({"a": 1}) == values_of([None, [1]]) == values_of([])
    assert values_of(True).numbers == frozenset()
    assert values_of(1).terms == frozenset()
    assert values_of("1e3") == Values(frozenset({'"1e3'}), frozenset({1000.0}))
    assert values_of(" 12") == Values(frozenset({'" 12'}), frozenset())
    assert number_of(10**400) == np.inf
    assert number_of(float("nan")) is None


def test_without_attributes_there_is_no_file(tmp_path: Path) -> None:
    path = tmp_path / "attributes.safetensors"
    assert not write_attributes(path, [None, "{}", '{"a": null}'])
    assert not path.exists()


def test_what_is_no_object_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="item 1"):
        write_attributes(tmp_path / "attributes.safetensors", ["{}", "[]"])


@pytest.mark.parametrize(
    ("spelled", "number"),
    [("12.50", 12.5), ("54,62", 54.62), ("-3,5", -3.5), ("1,234", None), ("1,2,3", None)],
)
def test_a_text_that_spells_a_number_is_that_number(spelled: str, number: float | None) -> None:
    """A comma before three digits may stand for thousands."""
    assert values_of(spelled).numbers == ({number} if number is not None else set())
