"""Which words an item has: those of its text, and its attributes as words of their own.

Training and the service read an item alike, or a new item would get other vectors than training
would have given it.
"""

import json
import math
import re
from typing import Any

_WORD = re.compile(r"\w+")
_FRACTION = re.compile(r"-?\d+\.\d+")


def words_of(text: str | None, attributes: str | None) -> list[str]:
    """Each word once; of attributes, a JSON object of columns, words such as ``brand=acme``. A
    price, or any number with a fraction, is no word.
    """
    given: dict[str, Any] = json.loads(attributes) if attributes else {}
    of_columns = (
        f"{column}={word}"
        for column, value in given.items()
        if not _FRACTION.fullmatch(text := plain_text(value).lower())
        for word in _WORD.findall(text)
    )
    return list(dict.fromkeys([*_WORD.findall((text or "").lower()), *of_columns]))


def plain_text(value: Any) -> str:
    """Any value as text: lists, nested ones too, joined by commas."""
    if value is None or isinstance(value, bytes | dict):
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(filter(None, map(plain_text, value)))
    if isinstance(value, float):
        return f"{value:g}" if math.isfinite(value) else ""
    return str(value).strip()


def joined(values: list[Any]) -> str | None:
    """The one text of an item's values, in the order of their columns."""
    return "\n".join(filter(None, map(plain_text, values))) or None
