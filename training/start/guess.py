"""Which column plays which role: by its name, else by what it holds."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from training.data import columns as usual
from training.data.rules import guess_time_format, microseconds
from training.errors import UserError
from training.start.look import Look

# Words of names, besides the usual names of training/data/columns.py. Good ones first.
_WORDS = {
    "user": ("user", "customer", "client", "visitor", "member", "buyer", "account", "session"),
    "item": ("item", "sku", "product", "article", "asin", "movie", "book", "track", "offer"),
    "time": ("timestamp", "datetime", "time", "date", "at", "ts", "created", "when"),
    "rating": ("rating", "stars", "score"),
    "type": ("type", "event", "action", "behavior", "behaviour"),
    "title": ("title", "name", "label"),
    "image": ("image", "picture", "photo", "img"),
}
_USUAL = {
    "user": usual.USER,
    "item": usual.ITEM,
    "time": usual.TIME,
    "rating": usual.RATING,
    "type": usual.TYPE,
    "title": usual.TITLE,
    "image": usual.IMAGE,
}
_IDENTIFIES = {"id", "sku", "asin", "code", "number", "no", "key"}
_PICTURES = (".jpg", ".jpeg", ".png", ".webp")
_PROSE = 3  # words, from which on a value is text
_TYPES = 20  # of events, at most
_SHARED = 0.5  # distinct values to all, up to which they are a kind and not a name

Columns = dict[str, str | list[str]]  # of a role, as the TOML file names them


class Guess(NamedTuple):
    """What a file's section will say."""

    look: Look
    columns: Columns
    image_template: str | None = None
    doubt: str | None = None  # what the user should look at


def told(pairs: Iterable[str] | None) -> dict[str, str]:
    """``role=name`` each. Raises UserError for another form, or a role that there is not."""
    found = {}
    for pair in pairs or ():
        role, _, name = pair.partition("=")
        if role not in _WORDS or not name:
            raise UserError(f"{pair!r} is not ROLE=NAME with a role of {', '.join(_WORDS)}")
        found[role] = name
    return found


def interactions(found: Look, told: Mapping[str, str]) -> Guess:
    """Roles of a log's columns; ``told`` are the user's own. Raises UserError for want of one."""
    if found.format == "sequences":
        return Guess(found, {})
    columns = _by_role(found, ("user", "item", "time", "rating", "type"), told)
    for role in ("user", "item"):
        if role not in columns:
            raise _missing(role, found, "--column")
    if not _are_numbers(found.columns.get(str(columns.get("rating")), [])):
        columns.pop("rating", None)
    if not 0 < len(types(found, columns)) <= _TYPES:
        columns.pop("type", None)
    time = columns.get("time")
    if time is None or time in told.values() or _are_times(found, str(time)):
        return Guess(found, columns)
    if str(time).lower() not in usual.TIME:  # else it is read whatever is said here
        del columns["time"]
        return Guess(found, columns)
    return Guess(found, columns, doubt=f"{time!r} is not understood: set time_format")


def types(found: Look, columns: Columns) -> list[str]:
    """Of events, as far as they were seen; most frequent first."""
    seen = Counter(map(str, found.columns.get(str(columns.get("type")), [])))
    return [name for name, _ in seen.most_common()]


def items(found: Look, told: Mapping[str, str], bought: Iterable[Any]) -> Guess:
    """Roles of a catalogue's columns; ``bought`` are item ids of the log."""
    told = {"item": _item(found, set(map(str, bought)), told), **told}
    columns = _by_role(found, ("item", "title", "image"), told)
    if "image" in columns and _is_web(found.columns[str(columns["image"])]):
        del columns["image"]  # nothing is fetched
    taken = {str(name) for role, name in columns.items() if role != "title"}
    left = {name: values for name, values in found.columns.items() if name not in taken}
    if text := [name for name, values in left.items() if _is_text(name, values)]:
        columns["text"] = text
    kinds = (name for name in left if name != columns.get("title"))
    if attributes := [name for name in kinds if _is_kind(left[name])]:
        columns["attributes"] = attributes
    pictures = None if "image" in columns else _template(found, str(columns["item"]))
    return Guess(found, columns, pictures)


def _item(found: Look, bought: set[str], told: Mapping[str, str]) -> str:
    """By a name that says so; else what the log's items are found in; else by any likely name."""
    named = told.get("item") or _named("item", list(found.columns))
    if named and (named in told.values() or _says_id(named)):
        return named
    likely = _most_shared(found, bought) or named
    if likely is None:
        raise _missing("item", found, "--item-column")
    return likely


def _by_role(found: Look, roles: Iterable[str], told: Mapping[str, str]) -> Columns:
    columns: Columns = {}
    for role in roles:
        if role in told and told[role] not in found.columns:
            raise UserError(f"{found.path} has no column {told[role]!r}. {_existing(found)}")
        left = [name for name in found.columns if name not in (*columns.values(), *told.values())]
        if name := told.get(role) or _named(role, left):
            columns[role] = name
    return columns


def _named(role: str, names: list[str]) -> str | None:
    """By the usual names, else by the words in them; a name that says id goes first."""
    lower = {name.lower(): name for name in reversed(names)}
    if exact := next((lower[name] for name in _USUAL[role] if name in lower), None):
        return exact
    for word in _WORDS[role]:
        having = [name for name in names if word in _words(name)]
        if having:
            return min(having, key=lambda name: (not _says_id(name), len(name)))
    return None


def _says_id(name: str) -> bool:
    return name.lower() in usual.ITEM or bool(_IDENTIFIES & set(_words(name)))


def _words(name: str) -> list[str]:
    """``productId`` and ``product_id`` alike."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def _missing(role: str, found: Look, option: str) -> UserError:
    return UserError(
        f"{found.path}: no column looks like the {role}. {_existing(found)} "
        f"Name it: {option} {role}=NAME"
    )


def _existing(found: Look) -> str:
    return f"Its columns are: {', '.join(found.columns) or 'none'}."


def _most_shared(found: Look, bought: set[str]) -> str | None:
    """The column of which most values are items of the log, if most are."""
    share = {
        name: sum(str(value) in bought for value in values) / len(values)
        for name, values in found.columns.items()
        if values
    }
    best = max(share, key=lambda name: share[name], default=None)
    return best if best is not None and share[best] >= _SHARED else None


def _are_numbers(values: list[Any]) -> bool:
    try:
        return bool(values) and all(math.isfinite(float(value)) for value in values)
    except (TypeError, ValueError):
        return False


def _are_times(found: Look, name: str) -> bool:
    """Whether a run would understand most of them."""
    values = found.columns[name]
    frame = pl.DataFrame({name: values if found.format == "parquet" else [*map(str, values)]})
    time_format = guess_time_format(values)
    times = frame.select(microseconds(name, frame.schema[name], time_format)).to_series()
    return 2 * times.null_count() < len(times)


def _is_web(values: list[Any]) -> bool:
    return any(isinstance(value, str) and "://" in value for value in values)


def _is_text(name: str, values: list[Any]) -> bool:
    if not values or isinstance(values[0], bytes) or _is_web(values):
        return False
    words = sum(len(str(value).split()) for value in values) / len(values)
    return name.lower() in usual.TEXT or "name" in _words(name) or words >= _PROSE


def _is_kind(values: list[Any]) -> bool:
    """Whether many items share a value that is short: a brand, a category, a year."""
    if not values or isinstance(values[0], bytes | dict) or _is_web(values):
        return False
    texts = [str(value) for value in values]
    if any(re.fullmatch(r"-?\d+\.\d+", text) for text in texts):  # a price, a weight
        return False
    words = sum(len(text.split()) for text in texts) / len(texts)
    return 1 < len(set(texts)) <= _SHARED * len(texts) and words <= _PROSE


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
