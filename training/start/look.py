"""A look at one of the user's files: its format, its columns, and some of their values."""

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from training.data.folder import find_files
from training.data.formats import Layout, Role, recognise
from training.data.records import Row, Table, open_table
from training.data.rejects import SourceRejects
from training.errors import UserError

ROWS = 1000  # looked at
_SEPARATORS = (";", "\t", "|")  # of files whose names say CSV


class Look(NamedTuple):
    """What the head of a file tells."""

    path: Path  # as the user gave it
    format: str
    separator: str | None  # where it is not the format's own
    columns: dict[str, list[Any]]  # values that are there, by the column's name
    doubt: str | None = None  # of rows that a run would reject

    def example(self, column: str) -> str:
        """The first value, short and on one line."""
        text = str(next(iter(self.columns[column]), "")).replace("\n", " ")
        return text if len(text) <= 40 else f"{text[:37]}..."


def look(path: Path, role: Role) -> Look:
    """Read the head of a file, or of the first in a folder that has rows. Raises UserError as a
    run would, and where there are no rows to look at.
    """
    file, rejects = path, SourceRejects.nowhere()
    for file in find_files(path, "auto", role).files:
        layout, table, separator = _opened(file, rejects)
        rows = list(islice(table.rows(table.names), ROWS))
        if rows or rejects.counts:
            break
    if not rows and not rejects.counts:
        raise UserError(f"{file} has no rows to look at")
    doubt = _doubt(file, rows, rejects)
    columns = {
        name: [row.values[at] for row in rows if row.values[at] not in (None, "")]
        for at, name in enumerate(table.names)
    }
    return Look(path, layout.name, separator, columns, doubt)


def _doubt(file: Path, rows: list[Row], rejects: SourceRejects) -> str | None:
    """What of the rows cannot be used. Raises UserError where that is all of them."""
    if not rejects.counts:
        return None
    why = f"{rejects.reasons()}. {rejects.remedies()}".strip()
    if not rows:
        raise UserError(f"{file}: of the first rows none can be used: {why}")
    return f"{file}: of the first rows {rejects.counts.total():,} cannot be used: {why}"


def _opened(file: Path, nowhere: SourceRejects) -> tuple[Layout, Table, str | None]:
    """A CSV file of one column is one with another separator, if that makes it more."""
    layout = recognise(file, "auto", None)
    table = open_table(file, layout, nowhere)
    if layout.name == "csv" and len(table.names) == 1:
        for separator in _SEPARATORS:
            other = replace(layout, separator=separator)
            found = open_table(file, other, nowhere)
            if len(found.names) > 1:
                return other, found, separator
    return layout, table, None
