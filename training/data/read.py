"""Interactions in any supported format to one lazy frame of good rows.

A clean CSV, TSV or Parquet file is scanned in parallel. As soon as anything in a text file looks
odd, it is read again record by record, which finds the exact lines; what is good goes to Parquet
in a scratch folder, so that memory stays bounded on either road.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from training.config import InteractionsConfig
from training.data.columns import ITEM, RATING, TIME, USER, Columns
from training.data.formats import Layout, Role, find_files, recognise
from training.data.lines import is_gzip
from training.data.records import Row, Table, open_table, scan_parquet
from training.data.rejects import Reason, SourceRejects
from training.data.rules import Raw, judged

CHUNK = 200_000  # records judged at a time
SECTION: Role = "interactions"
READ = ("user", "item", "time", "rating")


class Log(NamedTuple):
    """All good interactions in file order: user, item, time (microseconds), rating."""

    frame: pl.LazyFrame
    format: str
    good: int
    rows: int  # good and bad
    timed: bool
    rated: bool


class _File(NamedTuple):
    path: Path
    layout: Layout
    table: Table
    raw: Raw
    time_format: str
    rated: bool


def read_interactions(config: InteractionsConfig, rejects: SourceRejects, scratch: Path) -> Log:
    """Read, and judge every row. ``scratch`` must outlive the frame."""
    paths = find_files(config.path, config.format, SECTION)
    files = [_open(path, config, rejects) for path in paths]
    frames = [_read(file, rejects, scratch / f"{at:05}") for at, file in enumerate(files)]
    frame = pl.concat(frames)
    good: int = frame.select(pl.len()).collect(engine="streaming").item()
    return Log(
        frame,
        files[0].layout.name,
        good,
        rows=good + rejects.counts.total(),
        timed=all(file.raw.time for file in files),
        rated=all(file.raw.rating for file in files),
    )


def _open(path: Path, config: InteractionsConfig, rejects: SourceRejects) -> _File:
    layout = recognise(path, config.format, config.separator)
    table = open_table(path, layout, rejects)
    columns, asked = Columns(path, table.names, SECTION), config.columns
    raw = Raw(
        user=columns.required("user", asked.user, USER),
        item=columns.required("item", asked.item, ITEM),
        time=columns.optional("time", asked.time, TIME),
        rating=columns.optional("rating", asked.rating, RATING),
    )
    rated = config.min_rating is not None
    if rated:
        columns.required("rating", asked.rating, RATING)
    return _File(path, layout, table, raw, config.time_format, rated)


def _read(file: _File, rejects: SourceRejects, scratch: Path) -> pl.LazyFrame:
    if file.layout.kind == "parquet":
        return _parquet(file, rejects)
    file = file._replace(time_format=_time_format(file))
    clean = _in_parallel(file) if _is_plain(file) else None
    return _one_by_one(file, rejects, scratch) if clean is None else clean


def _time_format(file: _File) -> str:
    """``auto`` looks at the first value of a text file: a number, or ISO 8601."""
    if file.time_format != "auto" or file.raw.time is None:
        return file.time_format
    unreported = open_table(file.path, file.layout, SourceRejects.nowhere())
    for row in islice(unreported.rows([file.raw.time]), 100):
        value = str(row.values[0] or "").strip()
        if value:
            return "iso8601" if value.count("-") == 2 or "T" in value else "auto"
    return "auto"


def _parquet(file: _File, rejects: SourceRejects) -> pl.LazyFrame:
    scanned = scan_parquet(file.path)
    time_format = file.time_format
    if file.raw.time and time_format == "auto":
        first = scanned.select(pl.col(file.raw.time).drop_nulls().first()).collect().item()
        time_format = "iso8601" if isinstance(first, str) and first.count("-") == 2 else "auto"
    judge = judged(scanned.with_row_index("line", 1), file.raw, time_format, file.rated)
    bad = judge.filter(pl.col("reason").is_not_null())
    raw = dict.fromkeys(name for name in file.raw if name)
    for row in bad.select("line", "reason", *raw).collect(engine="streaming").iter_rows():
        line, reason, *values = row
        rejects.add(file.path, line, Reason(reason), repr(dict(zip(raw, values, strict=True))))
    return judge.filter(pl.col("reason").is_null()).select(READ)


def _is_plain(file: _File) -> bool:
    """Whether Polars can read the file as it stands."""
    layout = file.layout
    return (
        layout.kind == "delimited"
        and len(layout.separator) == 1
        and layout.encoding == "utf-8"
        and file.table.header_line <= 1
        and not is_gzip(file.path)
    )


def _in_parallel(file: _File) -> pl.LazyFrame | None:
    """A scan of the whole file, or None if anything in it may be wrong."""
    names = file.table.names
    if len(set(names)) < len(names):
        return None
    scanned = pl.scan_csv(
        file.path,
        has_header=False,
        skip_lines=file.table.header_line,
        separator=file.layout.separator,
        quote_char='"' if file.layout.quoted else None,
        schema=dict.fromkeys(names, pl.String()),
        glob=False,
    )
    renamed = scanned.rename(_prefixed)
    raw = Raw(*map(_prefixed, file.raw))
    judge = judged(renamed, raw, file.time_format, file.rated)
    # Every column is looked at, so that every byte is checked to be UTF-8. Polars fills short
    # rows with nulls, so an empty last column may hide one.
    counts = judge.select(pl.col("reason").count(), pl.col("^raw .*$").null_count())
    try:
        row = counts.collect(engine="streaming").row(0, named=True)
    except pl.exceptions.PolarsError:
        return None
    if row["reason"] or row[f"raw {names[-1]}"]:
        return None
    return judge.select(READ)


def _prefixed(name: Any) -> Any:
    return name and f"raw {name}"


def _one_by_one(file: _File, rejects: SourceRejects, scratch: Path) -> pl.LazyFrame:
    scratch.mkdir(parents=True)
    rows = file.table.rows(file.raw)
    schema = dict.fromkeys((*READ, "text"), pl.String()) | {"line": pl.Int64()}
    for at, chunk in enumerate(_chunks(rows)):
        judge = judged(
            pl.LazyFrame(chunk, schema), Raw(*_present(file.raw)), file.time_format, file.rated
        )
        judged_rows = judge.collect()
        bad = judged_rows.filter(pl.col("reason").is_not_null())
        for line, reason, text in bad.select("line", "reason", "text").iter_rows():
            rejects.add(file.path, line, Reason(reason), text)
        good = judged_rows.filter(pl.col("reason").is_null()).select(READ)
        good.write_parquet(scratch / f"{at:06}.parquet", compression="lz4")
    return pl.scan_parquet(scratch / "*.parquet")


def _present(raw: Raw) -> Iterator[Any]:
    """The chunk's own names for the columns that the file has."""
    return (name if there else None for name, there in zip(READ, raw, strict=True))


def _chunks(rows: Iterator[Row]) -> Iterator[dict[str, list[Any]]]:
    """Records as columns. There is always a first chunk, if an empty one."""
    while True:
        taken = list(islice(rows, CHUNK))
        chunk: dict[str, list[Any]] = {
            name: [_text(row.values[at]) for row in taken] for at, name in enumerate(READ)
        }
        yield chunk | {"text": [row.text for row in taken], "line": [row.line for row in taken]}
        if len(taken) < CHUNK:
            return


def _text(value: Any) -> str | None:
    """JSON's numbers as text; a list or an object is no id, time or rating."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, int | float) else None
