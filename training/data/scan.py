"""The parallel road: Polars reads a whole file of interactions at once, if it is sound."""

from pathlib import Path
from typing import NamedTuple

import polars as pl

from training.data.formats import Layout
from training.data.lines import is_gzip
from training.data.records import Table, scan_parquet, unreadable
from training.data.rejects import Reason, SourceRejects
from training.data.rules import JUDGED, Raw, judged
from training.errors import UserError

RAW = "raw "  # before the names of a file's own columns, so that they cannot clash with ours


class LogFile(NamedTuple):
    """One file of interactions, and what is known of it before its rows are read."""

    path: Path
    layout: Layout
    table: Table
    raw: Raw
    time_format: str


def read_parquet(file: LogFile, rejects: SourceRejects) -> pl.LazyFrame:
    """Good rows; bad ones are reported with the number of their row."""
    frame = scan_parquet(file.path).with_row_index("line", 1)
    types = frame.collect_schema()
    for name in filter(None, file.raw):
        if types[name].is_nested():  # Polars would make "{1}" of an object
            raise UserError(
                f"{file.path} cannot be read: {name!r} holds lists or objects. Export what is "
                "inside as a column of its own"
            )
    judge = judged(frame, file.raw, file.time_format)
    raw = dict.fromkeys(name for name in file.raw if name)
    bad = judge.filter(pl.col("reason").is_not_null()).select(
        "line", "reason", **{RAW + name: pl.col(name) for name in raw}
    )
    try:
        rows = bad.collect(engine="streaming")
    except pl.exceptions.PolarsError as error:
        columns = frame.select([*raw])
        raise unreadable(file.path, columns, error) from error
    for line, reason, *values in rows.iter_rows():
        rejects.add(file.path, line, Reason(reason), repr(dict(zip(raw, values, strict=True))))
    return judge.filter(pl.col("reason").is_null()).select(JUDGED)


def read_delimited(file: LogFile) -> pl.LazyFrame | None:
    """All rows, or None if the file is not of a kind that Polars reads, or anything may be bad."""
    names, layout = file.table.names, file.layout
    if not _is_plain(file) or len(set(names)) < len(names):
        return None
    scanned = pl.scan_csv(
        file.path,
        has_header=False,
        skip_lines=file.table.header_line,
        separator=layout.separator,
        quote_char='"' if layout.quoted else None,
        schema={RAW + name: pl.String() for name in names},
        glob=False,
    )
    judge = judged(scanned, file.raw.prefixed(RAW), file.time_format)
    # Every column is looked at, so that every byte is checked to be UTF-8. Polars fills short
    # rows with nulls, so an empty last column may hide one.
    counts = judge.select(pl.col("reason").count(), pl.col(f"^{RAW}.*$").null_count())
    try:
        row = counts.collect(engine="streaming").row(0, named=True)
    except pl.exceptions.PolarsError:
        return None
    return None if row["reason"] or row[RAW + names[-1]] else judge.select(JUDGED)


def _is_plain(file: LogFile) -> bool:
    layout = file.layout
    return (
        layout.kind == "delimited"
        and len(layout.separator.encode()) == 1
        and layout.encoding == "utf-8"
        and file.table.header_line <= 1
        and not is_gzip(file.path)
        and not _ends_with(file.path, layout.separator)
    )


def _ends_with(path: Path, separator: str) -> bool:
    """Of a last line that no line break ends, Polars overlooks an empty field too many."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 1))
        return file.read() == separator.encode()
