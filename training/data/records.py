"""One road to the rows of any file, record by record: slow, and exact about lines."""

from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from training.data.formats import Layout, peek_json_keys
from training.data.lines import Record, delimited, json_objects, read_lines
from training.data.rejects import Reason, SourceRejects
from training.errors import UserError

PARQUET_ROWS = 10_000  # rows held at a time: each may hold a picture


class Row(NamedTuple):
    """The values of the columns that were asked for, and where they stand."""

    line: int
    text: str
    values: tuple[Any, ...]


class Table(NamedTuple):
    """One file. ``rows(columns)`` reads it; a column may be None and is None then."""

    names: tuple[str, ...]
    header_line: int  # 0 if the file has none
    rows: Callable[[Sequence[str | None]], Iterator[Row]]


def open_table(path: Path, layout: Layout, rejects: SourceRejects) -> Table:
    """Find out a file's columns. Nothing but its head is read before ``rows`` is called."""
    if layout.kind == "delimited":
        return _delimited_table(path, layout, rejects)
    if layout.kind == "json":
        return _json_table(path, rejects)
    if layout.kind == "parquet":
        return _parquet_table(path)
    return _sequence_table(path, rejects)


def scan_parquet(path: Path) -> pl.LazyFrame:
    """A lazy frame whose schema could be read. Raises UserError if the file is no Parquet."""
    frame = pl.scan_parquet(path, glob=False, hive_partitioning=False)
    try:
        frame.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UserError(f"{path} is not a readable Parquet file: {error}") from error
    return frame


def unreadable(path: Path, frame: pl.LazyFrame, error: Exception) -> UserError:
    """What a user is told of a Parquet file some of whose columns, those of ``frame``, cannot be
    read: which.
    """
    for name in frame.collect_schema().names():
        try:
            frame.select(pl.col(name).count()).collect(engine="streaming")
        except pl.exceptions.PolarsError as found:
            fault = str(found)
            if "utf-8" in fault.lower():
                fault = "its texts are no UTF-8. Write them as UTF-8"
            return UserError(f"{path} cannot be read: {name!r}: {fault}")
    return UserError(f"{path} cannot be read: {error}")


def _delimited_table(path: Path, layout: Layout, rejects: SourceRejects) -> Table:
    def records(rejects: SourceRejects) -> Iterator[Record]:
        lines = read_lines(path, layout.encoding, rejects)
        return delimited(path, lines, layout.separator, layout.quoted, rejects)

    if layout.header:
        names, header_line = layout.header, 0
    else:
        unread = SourceRejects.nowhere()
        head = next(records(unread), None)
        if unread.counts[Reason.BROKEN_UTF8]:  # else a row would be taken for the header
            raise UserError(f"{path}: the header is not UTF-8. Save the file as UTF-8")
        if head is None:
            raise UserError(f"{path} is empty: not even a header")
        names = tuple(_plain(name, layout) for name in head.values)
        header_line = head.line

    def rows(columns: Sequence[str | None]) -> Iterator[Row]:
        pick = _by_position(names, columns)
        for line, text, fields in records(rejects):
            if len(fields) != len(names):
                rejects.add(path, line, Reason.WRONG_FIELDS, text)
            elif line != header_line:
                yield Row(line, text, pick(fields))

    return Table(names, header_line, rows)


def _plain(name: str, layout: Layout) -> str:
    """RecBole writes ``name:type``."""
    return (name.partition(":")[0] if layout.name == "recbole" else name).strip()


def _by_position(
    names: Sequence[str], columns: Sequence[str | None]
) -> Callable[[list[Any]], tuple[Any, ...]]:
    """``itemgetter`` is several times faster than a loop; the last place holds the None."""
    places = [len(names) if column is None else names.index(column) for column in columns]
    if len(names) not in places and len(places) > 1:
        return itemgetter(*places)
    return lambda fields: tuple([*fields, None][place] for place in places)


def _json_table(path: Path, rejects: SourceRejects) -> Table:
    def rows(columns: Sequence[str | None]) -> Iterator[Row]:
        for line, text, fields in json_objects(path, read_lines(path, "utf-8", rejects), rejects):
            yield Row(line, text, tuple(fields.get(column) for column in columns))

    keys = peek_json_keys(path)
    if not keys:
        raise UserError(
            f"{path}: none of its first lines is a JSON object. Of one array, `jq -c '.[]'` makes "
            "lines of an object each"
        )
    return Table(keys, 0, rows)


def _parquet_table(path: Path) -> Table:
    frame = scan_parquet(path)

    def rows(columns: Sequence[str | None]) -> Iterator[Row]:
        wanted = list(dict.fromkeys(column for column in columns if column))
        for start in range(0, _height(frame), PARQUET_ROWS):
            try:
                part = frame.select(wanted).slice(start, PARQUET_ROWS).collect()
            except pl.exceptions.PolarsError as error:
                raise unreadable(path, frame.select(wanted), error) from error
            places = [None if column is None else wanted.index(column) for column in columns]
            for line, fields in enumerate(part.iter_rows(), start=start + 1):
                values = (None if place is None else fields[place] for place in places)
                yield Row(line, "", tuple(values))

    return Table(tuple(frame.collect_schema().names()), 0, rows)


def _height(frame: pl.LazyFrame) -> int:
    height: int = frame.select(pl.len()).collect().item()
    return height


def _sequence_table(path: Path, rejects: SourceRejects) -> Table:
    """``user item item ...``: one row an item, in the order of the line."""

    def rows(columns: Sequence[str | None]) -> Iterator[Row]:
        for line, text in read_lines(path, "utf-8", rejects):
            words: list[str | None] = [*text.split()]
            user, *items = words or [None]
            for item in items or [None]:
                yield Row(line, text, (user, item, *[None] * (len(columns) - 2)))

    return Table(("user_id", "item_id"), 0, rows)
