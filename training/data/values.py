"""A file's value as an id, as text, or as given."""

import math
from decimal import Decimal
from typing import Any

from models.contract.words import plain_text

Scalar = str | int | float | bool


def identifier(value: Any) -> str | None:
    """As ``rules.identifier`` has it, whatever the road: ids of a log and a catalogue must meet."""
    if isinstance(value, bytes):
        value = decoded(value)
    if isinstance(value, float | Decimal) and math.isfinite(value):
        value = int(value) if value == int(value) else str(value)
    if not isinstance(value, str | int) or isinstance(value, bool):
        return None
    return str(value).strip() or None


def decoded(value: bytes) -> str | None:
    """Texts of Parquet files whose writers do not call them so; None where they are no UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def as_given(value: Any) -> Scalar | list[Scalar] | None:
    """A value as JSON has it: a scalar, or a flat list of them; None where there is nothing."""
    if isinstance(value, list | tuple):
        return _flat(value) or None
    if not plain_text(value):
        return None
    return value if isinstance(value, int | float) else plain_text(value)


def is_nested(value: Any) -> bool:
    """Whether nothing is read of it, or of something in it: an object, bytes, a list with such."""
    if isinstance(value, list | tuple):
        return any(map(is_nested, value))
    return isinstance(value, dict | bytes)


def _flat(values: list[Any] | tuple[Any, ...]) -> list[Scalar]:
    flat: list[Scalar] = []
    for given in map(as_given, values):
        if given is not None:
            flat += given if isinstance(given, list) else [given]
    return flat
