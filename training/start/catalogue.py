"""The roles of a catalogue's columns."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from training.data import columns as usual
from training.data.values import is_nested
from training.start.look import Look
from training.start.roles import (
    Guess,
    by_role,
    missing,
    most_shared,
    named,
    says_id,
    words,
)

_PICTURES = (".jpg", ".jpeg", ".png", ".webp")
# An amount that is no number: with a currency, or a decimal comma.
_PRICED = re.compile(
    r"(?:[A-Z]{3}|[€$£¥])\s?-?[\d.,]*\d|-?\d[\d.,]*\s?(?:[A-Z]{3}|[€$£¥])|-?[\d.]+,\d+"
)
_PROSE = 3  # words, from which on a value is text
_SHARED = 0.5  # distinct values to all, up to which they are a kind and not a name


def items(found: Look, told: Mapping[str, str], bought: Iterable[Any]) -> Guess:
    """``told`` are the user's own; ``bought`` are item ids of the log. Raises UserError where no
    column is the item's id.
    """
    told = {"item": _item(found, set(map(str, bought)), told), **told}
    columns = by_role(found, ("item", "title", "image"), told)
    if "image" in columns and _is_web(found.columns[str(columns["image"])]):
        del columns["image"]  # nothing is fetched
    taken = {str(name) for role, name in columns.items() if role != "title"}
    left = {name: values for name, values in found.columns.items() if name not in taken}
    text = [name for name, values in left.items() if _is_text(name, values)]
    kinds = [name for name, values in left.items() if _is_kind(values) or _is_price(values)]
    titles = [name for name in text if name not in kinds]
    if titles and "title" not in columns:
        columns["title"] = min(titles, key=lambda name: _length(left[name]))
    if text:
        columns["text"] = text
    if attributes := [name for name in kinds if name != columns.get("title")]:
        columns["attributes"] = attributes
    pictures = None if "image" in columns else _template(found, str(columns["item"]))
    doubts = (*found.doubts, *_no_numbers(found, left))
    return Guess(found._replace(doubts=doubts), columns, pictures)


def _item(found: Look, bought: set[str], told: Mapping[str, str]) -> str:
    """By a name that says so; else what the log's items are found in; else by any likely name."""
    name = told.get("item") or named("item", list(found.columns))
    if name and (name in told.values() or says_id(name)):
        return name
    likely = most_shared(found, found.columns, bought) or name
    if likely is None:
        raise missing("item", found, "--item-column")
    return likely


def _is_web(values: list[Any]) -> bool:
    return any(isinstance(value, str) and "://" in value for value in values)


def _is_other(values: list[Any]) -> bool:
    """Whether they say nothing, or nothing that can be read; or are addresses."""
    return all(map(is_nested, values)) or _is_web(values)


def _is_text(name: str, values: list[Any]) -> bool:
    if _is_other(values):
        return False
    return name.lower() in usual.TEXT or "name" in words(name) or _length(values) >= _PROSE


def _length(values: list[Any]) -> float:
    """Words, on average."""
    return sum(len(str(value).split()) for value in values) / len(values)


def _is_kind(values: list[Any]) -> bool:
    """Whether many items share a value that is short: a brand, a category, a year."""
    if _is_other(values):
        return False
    texts = [str(value) for value in values]
    return 1 < len(set(texts)) <= _SHARED * len(texts) and _length(texts) <= _PROSE


def _is_price(values: list[Any]) -> bool:
    """Numbers, of which some have a fraction: a price, a weight. To filter by."""
    numbers = [re.fullmatch(r"-?\d+([.,]\d+)?", str(value)) for value in values]
    return all(numbers) and any(number and number[1] for number in numbers)


def _no_numbers(found: Look, names: Iterable[str]) -> Iterator[str]:
    """Prices that no range finds: ``EUR 12,99``, and ``12,99``, too, are texts."""
    for name in names:
        values = [str(value) for value in found.columns[name]]
        if values and all(_PRICED.fullmatch(value.strip()) for value in values):
            yield (
                f"{found.path}: {name} holds texts such as {found.example(name)!r}, which cannot "
                "be filtered by range: export numbers such as 12.99"
            )


def _template(found: Look, item: str) -> str | None:
    """``posters/{item_id}.jpg``, where a folder beside the file holds such pictures."""
    home = found.path.resolve().parent
    ids = [str(value) for value in found.columns[item][:50] if "/" not in str(value)]
    folders = sorted(path.name for path in home.iterdir() if path.is_dir())
    for folder in (name for name in folders if not name.startswith(".")):
        for ending in _PICTURES:
            if any(Path(home, folder, f"{item_id}{ending}").is_file() for item_id in ids):
                return f"{folder}/{{item_id}}{ending}"
    return None
