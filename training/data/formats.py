"""Which format a file is in: from the configuration, else from its name, else from its content."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from training.data.lines import first_lines, opened, parse_object
from training.errors import UserError

Role = Literal["interactions", "items"]
Kind = Literal["delimited", "json", "sequences", "parquet"]
_PEEKED = 100  # first lines, whose objects tell a JSON file's columns

SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".inter": "recbole",
    ".item": "recbole",
}
MOVIELENS = ("u.data", "u.item", "ratings.dat", "movies.dat")
GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime"),
    *("Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery"),
    *("Romance", "Sci-Fi", "Thriller", "War", "Western"),
)


@dataclass(frozen=True)
class Layout:
    """How a file's bytes become rows. ``header``: its columns, where the file does not say."""

    name: str
    kind: Kind
    separator: str = ","
    quoted: bool = False
    encoding: str = "utf-8"
    header: tuple[str, ...] | None = None


LAYOUTS = {
    "csv": Layout("csv", "delimited", quoted=True),
    "tsv": Layout("tsv", "delimited", "\t", quoted=True),
    "jsonl": Layout("jsonl", "json"),
    "parquet": Layout("parquet", "parquet"),
    "recbole": Layout("recbole", "delimited", "\t"),
    "sequences": Layout("sequences", "sequences", " "),
}
MOVIELENS_LAYOUTS = {
    "u.data": Layout(
        "movielens", "delimited", "\t", header=("user_id", "item_id", "rating", "timestamp")
    ),
    "ratings.dat": Layout(
        "movielens",
        "delimited",
        "::",
        encoding="latin-1",
        header=("user_id", "item_id", "rating", "timestamp"),
    ),
    "u.item": Layout(
        "movielens",
        "delimited",
        "|",
        encoding="latin-1",
        header=("item_id", "title", "release_date", "video_release_date", "url", *GENRES),
    ),
    "movies.dat": Layout(
        "movielens",
        "delimited",
        "::",
        encoding="latin-1",
        header=("item_id", "title", "genres"),
    ),
}


def recognise(path: Path, wanted: str, separator: str | None) -> Layout:
    """The layout of one file; ``wanted`` is the configuration's ``format``."""
    name = (format_by_name(path) or _by_content(path)) if wanted == "auto" else wanted
    if name == "movielens":
        layout = _movielens(path)
    elif name == "amazon":
        layout = _amazon(path)
    else:
        layout = LAYOUTS[name]
    if separator is None or layout.kind != "delimited" or layout.name not in ("csv", "tsv"):
        return layout
    return Layout(layout.name, layout.kind, separator, layout.quoted and len(separator) == 1)


def _plain_name(path: Path) -> str:
    return path.name.lower().removesuffix(".gz")


def format_by_name(path: Path) -> str | None:
    """What a file's name tells, ``.gz`` or not; None if nothing."""
    name = _plain_name(path)
    if name in MOVIELENS:
        return "movielens"
    return SUFFIXES.get(Path(name).suffix)


def _by_content(path: Path) -> str:
    with opened(path) as file:
        if file.read(4) == b"PAR1":
            return "parquet"
    line = next(iter(first_lines(path, 1)), "")
    if line.startswith("{"):
        return "jsonl"
    if ":token" in line:
        return "recbole"
    for mark, name in (("::", "movielens"), ("\t", "tsv"), (",", "csv"), (" ", "sequences")):
        if mark in line:
            return name
    raise UserError(
        f"{path}: neither its name nor its first line tells a format; set `format` to one of "
        "csv, tsv, jsonl, parquet, recbole, movielens, amazon, sequences"
    )


def _movielens(path: Path) -> Layout:
    """By name; a renamed file by its first line: 1M has ``::``, 100k tabs or bars."""
    if known := MOVIELENS_LAYOUTS.get(_plain_name(path)):
        return known
    line = next(iter(first_lines(path, 1, "latin-1")), "")
    if "::" in line:
        return MOVIELENS_LAYOUTS["ratings.dat" if line.count("::") == 3 else "movies.dat"]
    if line.count("\t") == 3:
        return MOVIELENS_LAYOUTS["u.data"]
    if "|" in line:
        return MOVIELENS_LAYOUTS["u.item"]
    return LAYOUTS["csv"]  # MovieLens 20M and later: CSV with a header


def _amazon(path: Path) -> Layout:
    """Reviews and metadata are JSON lines; ratings-only files are CSV, before 2023 headerless."""
    line = next(iter(first_lines(path, 1)), "")
    if line.startswith("{"):
        return Layout("amazon", "json")
    fields = line.split(",")
    if len(fields) != 4 or "user_id" in fields:
        return Layout("amazon", "delimited", quoted=True)
    # 2014 has the user first, 2018 the item. An item's ASIN is 10 characters, a user's id longer.
    item_first = len(fields[0]) == 10 < len(fields[1])
    ids = ("asin", "reviewerID") if item_first else ("reviewerID", "asin")
    return Layout("amazon", "delimited", header=(*ids, "overall", "unixReviewTime"))


def peek_json_keys(path: Path) -> tuple[str, ...]:
    """Keys of a JSON lines file's first objects, in order of appearance."""
    keys: dict[str, None] = {}
    for line in first_lines(path, _PEEKED):
        value = parse_object(line)
        if isinstance(value, dict):
            keys.update(dict.fromkeys(value))
    return tuple(keys)
