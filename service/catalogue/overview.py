"""What a catalogue has to be asked by: its attributes with their commonest values."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from models.contract.attributes import Attributes, Column

MOST_ATTRIBUTES, MOST_VALUES = 30, 40


class Described(NamedTuple):
    """One attribute. values: its commonest texts and truth values, most items first; least and
    most: of its numbers, None without any.
    """

    name: str
    values: list[str | bool]
    least: float | None
    most: float | None


def describe_attributes(attributes: Attributes) -> list[Described]:
    """Of a bundle; for a thread, since values may be many."""
    return [
        Described(name, list(_commonest(column)), *_ends(column))
        for name, column in list(attributes.items())[:MOST_ATTRIBUTES]
    ]


def _commonest(column: Column) -> Iterator[str | bool]:
    counts = np.diff(column.offsets)
    for n in np.argsort(-counts, kind="stable")[:MOST_VALUES].tolist():
        term = column.terms[n] or ""
        yield term[1:] if term.startswith('"') else term == "true"


def _ends(column: Column) -> tuple[float | None, float | None]:
    numbers = column.numbers
    return (float(numbers[0]), float(numbers[-1])) if len(numbers) else (None, None)
