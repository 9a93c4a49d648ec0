"""Which column plays which role: as the user says, else by its name."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from training.data import columns as usual
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
_MOST = 0.5  # share of a column's values

Columns = dict[str, str | list[str]]  # of a role, as the TOML file names them


class Guess(NamedTuple):
    """What a file's section will say."""

    look: Look
    columns: Columns
    image_template: str | None = None
    time_formats: tuple[str, ...] = ()  # one is set; of several the user chooses
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


def by_role(found: Look, roles: Iterable[str], told: Mapping[str, str]) -> Columns:
    """Columns of the roles that have one. Raises UserError for one told that is not there."""
    columns: Columns = {}
    for role in roles:
        if role in told and told[role] not in found.columns:
            raise UserError(f"{found.path} has no column {told[role]!r}. {_existing(found)}")
        left = [name for name in found.columns if name not in (*columns.values(), *told.values())]
        if name := told.get(role) or named(role, left):
            columns[role] = name
    return columns


def named(role: str, names: list[str]) -> str | None:
    """By the usual names, else by the words in them; a name that says id goes first."""
    lower = {name.lower(): name for name in reversed(names)}
    if exact := next((lower[name] for name in _USUAL[role] if name in lower), None):
        return exact
    for word in _WORDS[role]:
        having = [name for name in names if word in words(name) and not _is_when(role, name)]
        if having:
            return min(having, key=lambda name: (not says_id(name), len(name)))
    return None


def _is_when(role: str, name: str) -> bool:
    """Whether it is no type, but says when one was: ``event_date``."""
    return role == "type" and not {*_WORDS["time"]}.isdisjoint(words(name))


def most_shared(found: Look, names: Iterable[str], among: set[str]) -> str | None:
    """Of the columns of which most values are ``among``, the one that tells most apart."""
    distinct = {}
    for name in names:
        values = [str(value) for value in found.columns[name]]
        if sum(value in among for value in values) >= _MOST * max(1, len(values)):
            distinct[name] = len(set(values))
    return max(distinct, key=lambda name: distinct[name], default=None)


def says_id(name: str) -> bool:
    """Whether it is what an id is called."""
    return name.lower() in usual.ITEM or bool(_IDENTIFIES & set(words(name)))


def words(name: str) -> list[str]:
    """``productId`` and ``product_id`` alike."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def missing(role: str, found: Look, option: str) -> UserError:
    """What a user is told."""
    return UserError(
        f"{found.path}: no column looks like the {role}. {_existing(found)} "
        f"Name it: {option} {role}=NAME"
    )


def _existing(found: Look) -> str:
    columns = ", ".join(found.columns) or "none"
    return f"Its columns are: {columns}. {''.join(f'{doubt}. ' for doubt in found.doubts)}".strip()
