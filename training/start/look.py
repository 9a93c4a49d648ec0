"""A look at the user's files: their format, their columns, and some of their values."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from training.data.folder import find_files
from training.data.formats import Layout, Role, recognise
from training.data.records import Row, Table, open_table
from training.data.rejects import SourceRejects
from training.data.values import is_nested
from training.errors import UserError

ROWS = 1000  # looked at
_FILES = 50  # of a folder, whose rows are looked at; the columns of all are
_SEPARATORS = (";", "\t", "|")  # of files whose names say CSV


class Look(NamedTuple):
    """What the heads of the files tell."""

    path: Path  # as the user gave it
    format: str
    separator: str | None  # where it is not the format's own
    columns: dict[str, list[Any]]  # values that are there, by the column's name
    doubts: tuple[str, ...] = ()  # rows that a run would reject, files that are unlike the others

    def example(self, column: str) -> str:
        """The first value, short and on one line."""
        text = str(next(iter(self.columns[column]), "")).replace("\n", " ")
        return text if len(text) <= 40 else f"{text[:37]}..."


class _File(NamedTuple):
    """One of them, opened."""

    path: Path
    layout: Layout
    table: Table
    separator: str | None
    rejects: SourceRejects

    def rows(self, count: int) -> list[Row]:
        """The first that can be used."""
        return list(islice(self.table.rows(self.table.names), count))


def look(path: Path, role: Role) -> Look:
    """Read the head of a file, or of those in a folder. Raises UserError as a run would, and where
    there are no rows to look at.
    """
    files = [_opened(file) for file in find_files(path, "auto", role).files]
    columns, doubts = _in_common(files)
    some = _spread(files)
    read = [(file, file.rows(ROWS // len(some))) for file in some]
    bad = [doubt for file, rows in read if (doubt := _doubt(file, rows))]
    if not any(rows for _, rows in read):
        raise UserError(bad[0] if bad else f"{files[0].path} has no rows to look at")
    for file, rows in read:
        for name in columns.keys() & set(file.table.names):
            at = file.table.names.index(name)
            columns[name] += (row.values[at] for row in rows if row.values[at] not in (None, ""))
    doubts += [*bad, *_nested(path, columns)]
    return Look(path, files[0].layout.name, files[0].separator, columns, tuple(doubts))


def _in_common(files: list[_File]) -> tuple[dict[str, list[Any]], list[str]]:
    """Columns that a run could read of all files, and what is to be said of the others."""
    first, *_ = files
    every = list(dict.fromkeys(name for file in files for name in file.table.names))
    doubts = []
    if odd := next((file for file in files if file.separator != first.separator), None):
        ours, theirs = (file.separator or file.layout.separator for file in (odd, first))
        doubts.append(f"{odd.path}: columns are separated by {ours!r}, in {first.path} {theirs!r}")
    if first.layout.kind == "json":  # an object has what it has
        return {name: [] for name in every}, doubts
    lacking = {
        file.path: [name for name in every if name not in file.table.names] for file in files
    }
    lacking = {path: names for path, names in lacking.items() if names}
    for path, names in islice(lacking.items(), 1):
        more = f", and {len(lacking) - 1:,} other files lack some" if len(lacking) > 1 else ""
        doubts.append(
            f"{path} has no column {', '.join(names)}, which other files have{more}: only columns "
            "of all files were looked at"
        )
    absent = {name for names in lacking.values() for name in names}
    return {name: [] for name in every if name not in absent}, doubts


def _nested(path: Path, columns: dict[str, list[Any]]) -> Iterator[str]:
    """Columns of which a run reads nothing; those of bytes may be pictures."""
    for name, values in columns.items():
        if any(isinstance(value, dict | list) for value in values) and all(map(is_nested, values)):
            yield f"{path}: {name} holds objects, of which nothing is read: export what is inside"


def _spread(files: list[_File]) -> list[_File]:
    """The first, the last, and some between."""
    if len(files) <= _FILES:
        return files
    return [files[at * (len(files) - 1) // (_FILES - 1)] for at in range(_FILES)]


def _doubt(file: _File, rows: list[Row]) -> str | None:
    """What of its first rows cannot be used."""
    if not (rejects := file.rejects).counts:
        return None
    bad = f"{rejects.counts.total():,} cannot" if rows else "none can"
    why = f"{rejects.reasons()}. {rejects.remedies()}".strip()
    return f"{file.path}: of the first rows {bad} be used: {why}"


def _opened(path: Path) -> _File:
    """A CSV file of one column is one with another separator, if that makes it more."""
    rejects = SourceRejects.nowhere()
    layout = recognise(path, "auto", None)
    table = open_table(path, layout, rejects)
    if layout.name == "csv" and len(table.names) == 1:
        for separator in _SEPARATORS:
            other = replace(layout, separator=separator)
            found = open_table(path, other, rejects)
            if len(found.names) > 1:
                return _File(path, other, found, separator, rejects)
    return _File(path, layout, table, None, rejects)
