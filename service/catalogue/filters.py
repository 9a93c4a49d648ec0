"""Filters: which items a request wants, by their attributes.

A filter is evaluated on the bundle's columns at once, and on the attributes of a single item where
they have changed or live beside it: both mean the same (models/contract/attributes.py says what an
item has).
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np

from models.contract.attributes import Attributes, Column, Values, named, number_of, values_of
from service.retrieval.rows import Mask


class Range(NamedTuple):
    """Numbers between two; ``above`` and ``below``: strictly."""

    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    below: bool = False

    def holds(self, number: float) -> bool:
        """Whether a number is in it."""
        over = number > self.low if self.above else number >= self.low
        under = number < self.high if self.below else number <= self.high
        return over and under


class Condition(NamedTuple):
    """On one attribute, each part that is there: the item has one of these values, and none of
    those, and a number in the range.
    """

    any_of: Values | None = None
    none_of: Values | None = None
    range: Range | None = None

    def matches(self, values: Values) -> bool:
        """Whether an item that has these values meets it."""
        if self.any_of is not None and not _share(values, self.any_of):
            return False
        if self.none_of is not None and _share(values, self.none_of):
            return False
        return self.range is None or any(map(self.range.holds, values.numbers))

    def mask(self, column: Column | None, items: int) -> Mask:
        """(N,): which of the bundle's items meet it; ``column``: None where none has any."""
        mask_N = np.ones(items, np.bool_)
        if self.any_of is not None:
            mask_N &= _having(column, self.any_of, items)
        if self.none_of is not None:
            mask_N &= ~_having(column, self.none_of, items)
        if self.range is not None:
            in_range_N = np.zeros(items, np.bool_)
            if column is not None:
                in_range_N[column.between(*self.range)] = True
            mask_N &= in_range_N
        return mask_N


class Filter(NamedTuple):
    """Conditions on attributes, all of which an item must meet."""

    conditions: tuple[tuple[str, Condition], ...]

    @classmethod
    def of(cls, asked: Mapping[str, Mapping[str, Any]]) -> Self:
        """``{"price": {"lt": 20}, "category": {"in": ["shampoo"]}}``: of each attribute operators.

        They are ``in`` and ``not`` (lists of texts, numbers, truth values), ``lt``, ``lte``,
        ``gt`` and ``gte`` (numbers); what is None is not there.
        """
        return cls(tuple(sorted((name, _condition(of)) for name, of in asked.items())))

    @property
    def names(self) -> tuple[str, ...]:
        """The attributes that it asks for."""
        return tuple(name for name, _ in self.conditions)

    @property
    def ranges(self) -> tuple[str, ...]:
        """Those of which it asks for a range of numbers."""
        return tuple(name for name, of in self.conditions if of.range is not None)

    @property
    def bytes(self) -> int:
        """About what it takes itself."""
        named = [v for _, of in self.conditions for v in (of.any_of, of.none_of) if v is not None]
        terms = sum(100 + 4 * len(term) for each in named for term in each.terms)
        return 1000 + terms + sum(100 * len(each.numbers) for each in named)

    def matches(self, attributes: Mapping[str, Any]) -> bool:
        """Whether an item of these attributes is wanted: JSON scalars, or lists of them."""
        return all(
            condition.matches(values_of(attributes.get(name)))
            for name, condition in self.conditions
        )

    def mask(self, columns: Attributes, items: int) -> Mask:
        """(N,): which of the bundle's items are wanted."""
        mask_N = np.ones(items, np.bool_)
        for name, condition in self.conditions:
            mask_N &= condition.mask(columns.get(name), items)
        return mask_N


def _condition(asked: Mapping[str, Any]) -> Condition:
    there = {name: value for name, value in asked.items() if value is not None}
    any_of, none_of = (named(there[name]) if name in there else None for name in ("in", "not"))
    lows = [(n, name == "gt") for name in ("gt", "gte") if (n := _bound(there, name)) is not None]
    highs = [(-n, name == "lt") for name in ("lt", "lte") if (n := _bound(there, name)) is not None]
    if not lows and not highs:
        return Condition(any_of, none_of)
    low, above = max(lows, default=(-math.inf, False))  # of two the narrower counts
    high, below = max(highs, default=(-math.inf, False))
    return Condition(any_of, none_of, Range(low, -high, above, below))


def _bound(asked: Mapping[str, Any], name: str) -> float | None:
    return number_of(asked[name]) if name in asked else None


def _share(one: Values, other: Values) -> bool:
    return not (one.terms.isdisjoint(other.terms) and one.numbers.isdisjoint(other.numbers))


def _having(column: Column | None, wanted: Values, items: int) -> Mask:
    mask_N = np.zeros(items, np.bool_)
    if column is not None:
        for term in wanted.terms:
            mask_N[column.with_term(term)] = True
        for number in wanted.numbers:
            mask_N[column.with_number(number)] = True
    return mask_N
