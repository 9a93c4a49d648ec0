"""The roles of a log's columns."""

from collections import Counter
from collections.abc import Mapping

from training.data import columns as usual
from training.start import times
from training.start.look import Look
from training.start.roles import Columns, Guess, by_role, missing, most_shared

_TYPES = 20  # of events, at most
_FEW = 8  # types that are likely
_NO_TIME = "no column looks like the time: what is later in the file counts as later"


def interactions(found: Look, told: Mapping[str, str], catalogue: Look | None = None) -> Guess:
    """``told`` are the user's own; ``catalogue`` tells which ids are items'.

    Raises UserError for want of a role that has to be there.
    """
    if found.format == "sequences":
        return Guess(found, {})
    columns = by_role(found, ("user", "item", "time", "rating", "type"), told)
    if "item" not in columns and (item := _in_catalogue(found, columns, catalogue)):
        columns["item"] = item
    for role in ("user", "item"):
        if role not in columns:
            raise missing(role, found, "--column")
    if not times.are_numbers(found.columns.get(str(columns.get("rating")), [])):
        columns.pop("rating", None)
    if not 0 < len(types(found, columns)) <= _TYPES:
        columns.pop("type", None)
    return _timed(found, columns, told)


def types(found: Look, columns: Columns) -> list[str]:
    """Of events, as far as they were seen; most frequent first."""
    seen = Counter(map(str, found.columns.get(str(columns.get("type")), [])))
    return [name for name, _ in seen.most_common()]


def maybe_types(found: Look, columns: Columns) -> list[str]:
    """Columns of a few words each that may tell of types, where none has a name that says so."""
    left = _left(found, columns)
    few = [name for name in left if 1 < len({*map(str, found.columns[name])}) <= _FEW]
    few = [name for name in few if not times.are_numbers(found.columns[name])]
    return [] if "type" in columns else few


def _left(found: Look, columns: Columns) -> list[str]:
    """Columns without a role."""
    return [name for name in found.columns if name not in columns.values()]


def _in_catalogue(found: Look, columns: Columns, catalogue: Look | None) -> str | None:
    """The column that holds ids of it: what differs from row to row there."""
    ids: set[str] = set()
    for values in catalogue.columns.values() if catalogue else ():
        texts = [str(value) for value in values]
        if len(set(texts)) == len(texts):
            ids.update(texts)
    return most_shared(found, _left(found, columns), ids)


def _timed(found: Look, columns: Columns, told: Mapping[str, str]) -> Guess:
    """With the column of times, and how they are written."""
    name = str(columns.pop("time", ""))
    if name not in told.values() and name.lower() not in usual.TIME:  # else it is read anyway
        left = _left(found, columns)
        likely = [name] if name and times.formats(found, name) else times.likely(found, left)
        if not likely:
            return Guess(found, columns, doubt=_NO_TIME)
        if len(likely) > 1:
            doubt = f"any of {', '.join(likely)} may be the time: say --column time=NAME"
            return Guess(found, columns, doubt=doubt)
        (name,) = likely
    guess = Guess(found, {**columns, "time": name}, time_formats=times.formats(found, name))
    if len(guess.time_formats) == 1:
        return guess
    read = " and ".join(guess.time_formats)
    why = f"is read by {read}" if read else "is not understood"
    return guess._replace(doubt=f"{name!r} {why}: set time_format")
