"""Attributes of a whole catalogue in columns: for each value, the rows that have it.

An attribute is a JSON scalar or a list of them; an item *has* each value of the list. What is not
there, null and what is nested is no value. Numbers are compared as 64-bit floats, and a text that
spells a number ("12.50", as CSV files have it, or "12,50") is that number, too.
"""

import json
import math
import re
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from models.contract.mapped import load_mapped
from models.contract.ragged import are_offsets, are_rows, before_each
from models.contract.text_column import TextColumn, text_arrays
from models.contract.types import IndexArray

_NAMES = "names"
# A comma before three digits may stand for thousands.
_NUMBER = re.compile(r"-?\d+(\.\d+|,\d{1,2})?([eE][+-]?\d+)?", re.ASCII)


class Values(NamedTuple):
    """What an item has of one attribute."""

    terms: frozenset[str]
    numbers: frozenset[float]


NOTHING = Values(frozenset(), frozenset())


def values_of(given: Any) -> Values:
    """Of an attribute as JSON has it."""
    if not isinstance(given, list | tuple):
        return _of_scalar(given) if isinstance(given, str | int | float) else NOTHING
    each = [_of_scalar(value) for value in given if isinstance(value, str | int | float)]
    return Values(
        frozenset().union(*(values.terms for values in each)),
        frozenset().union(*(values.numbers for values in each)),
    )


@lru_cache(2**14, typed=True)  # a shop has few values, and true is not 1
def _of_scalar(value: str | float) -> Values:
    number = _spelled(value) if isinstance(value, str) else number_of(value)
    return named([value])._replace(numbers=frozenset() if number is None else frozenset([number]))


def named(values: Sequence[Any]) -> Values:
    """What these name: a text names that text, and not the number that it spells."""
    terms = (term for value in values if (term := term_of(value)) is not None)
    numbers = (number for value in values if (number := number_of(value)) is not None)
    return Values(frozenset(terms), frozenset(numbers))


def term_of(value: Any) -> str | None:
    """What names a text or a truth value; no text is named as a truth value is."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}' if isinstance(value, str) else None


def number_of(value: Any) -> float | None:
    """A number as it is compared, None for whatever is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    return None if math.isnan(number) else number


def _spelled(text: str) -> float | None:
    return float(text.replace(",", ".")) if _NUMBER.fullmatch(text) else None


class Column(NamedTuple):
    """One attribute: its terms, ascending, and for each its rows; its numbers, ascending, and the
    row of each.
    """

    terms: TextColumn
    offsets: NDArray[np.int64]
    term_rows: IndexArray
    numbers: NDArray[np.float64]
    number_rows: IndexArray

    def with_term(self, term: str) -> IndexArray:
        """The rows that have it."""
        at = bisect_left(self.terms, term)  # type: ignore[type-var]
        if at == len(self.terms) or self.terms[at] != term:
            return self.term_rows[:0]
        return self.term_rows[self.offsets[at] : self.offsets[at + 1]]

    def with_number(self, number: float) -> IndexArray:
        """The rows that have it."""
        first, last = (np.searchsorted(self.numbers, number, side) for side in ("left", "right"))
        return self.number_rows[first:last]

    def between(self, low: float, high: float, above: bool, below: bool) -> IndexArray:
        """The rows with a number from low to high, strictly above and below them or not."""
        first = np.searchsorted(self.numbers, low, "right" if above else "left")
        last = np.searchsorted(self.numbers, high, "left" if below else "right")
        return self.number_rows[first:last]

    def fits(self, size: int) -> bool:
        """Whether it can be one of so many items."""
        if not (are_rows(self.term_rows, size) and are_rows(self.number_rows, size)):
            return False
        if not are_offsets(self.offsets, len(self.term_rows)):
            return False
        alike = self.numbers.shape == self.number_rows.shape
        return alike and self.terms.fits(len(self.offsets) - 1)


class Attributes(dict[str, Column]):
    """The columns by their attributes' names."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Map the file. Raises ValueError, KeyError or OSError for others."""
        arrays = load_mapped(path)
        names = TextColumn.of_arrays(arrays, _NAMES)
        return cls({name or "": _column(arrays, number) for number, name in enumerate(names)})

    def check(self, size: int) -> Self:
        """Itself. Raises ValueError where a column cannot be one of so many items."""
        for name, column in self.items():
            if not column.fits(size):
                raise ValueError(f"attribute {name!r} is not one of {size} items")
        return self


def write_attributes(path: Path, objects: Iterable[str | None]) -> bool:
    """Write the columns of JSON objects, one an item; no file, and False, where all are empty.

    Raises ValueError where one is no JSON object.
    """
    terms: dict[str, dict[str, array[int]]] = defaultdict(lambda: defaultdict(lambda: array("i")))
    numbers: dict[str, tuple[array[float], array[int]]]
    numbers = defaultdict(lambda: (array("d"), array("i")))
    for row, text in enumerate(objects):
        for name, given in _object(row, text).items():
            values = values_of(given)
            for term in values.terms:
                terms[name][term].append(row)
            for number in values.numbers:
                numbers[name][0].append(number)
                numbers[name][1].append(row)
    names = sorted({*terms, *numbers})
    if not names:
        return False
    arrays = text_arrays(_NAMES, names)
    for number, name in enumerate(names):
        for part, of_column in {**_inverted(terms[name]), **_ordered(*numbers[name])}.items():
            arrays[f"{number}.{part}"] = of_column
    save_file(arrays, path)
    return True


def _object(row: int, text: str | None) -> Mapping[str, Any]:
    given = json.loads(text or "{}")
    if not isinstance(given, dict):
        raise ValueError(f"the attributes of item {row} are no JSON object")
    return given


def _inverted(rows_of: Mapping[str, "array[int]"]) -> dict[str, NDArray[Any]]:
    terms = sorted(rows_of)
    counts = [len(rows_of[term]) for term in terms]
    rows = [np.frombuffer(rows_of[term], np.int32) for term in terms]
    return {
        **text_arrays("terms", terms),
        "starts": before_each(counts),
        "term_rows": np.concatenate([np.empty(0, np.int32), *rows]),
    }


def _ordered(numbers: "array[float]", rows: "array[int]") -> dict[str, NDArray[Any]]:
    order = np.argsort(np.array(numbers), kind="stable")
    return {
        "numbers": np.array(numbers, np.float64)[order],
        "number_rows": np.array(rows, np.int32)[order],
    }


def _column(arrays: Mapping[str, NDArray[Any]], number: int) -> Column:
    return Column(
        terms=TextColumn.of_arrays(arrays, f"{number}.terms"),
        offsets=arrays[f"{number}.starts"],
        term_rows=arrays[f"{number}.term_rows"],
        numbers=arrays[f"{number}.numbers"],
        number_rows=arrays[f"{number}.number_rows"],
    )
