"""Interactions in any supported format to one lazy frame of good rows.

A clean CSV, TSV or Parquet file is scanned in parallel. As soon as anything in a text file looks
odd, it is read again record by record, which finds the exact lines; what is good goes to Parquet
in a scratch folder, so that memory stays bounded on either road.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from training.config import InteractionsConfig
from training.data.columns import ITEM, RATING, TIME, TYPE, USER, Columns
from training.data.folder import check_alike, find_files
from training.data.formats import Layout, Role, recognise
from training.data.records import Row, Table, open_table
from training.data.rejects import Reason, SourceRejects
from training.data.rules import (
    EXCEL,
    JUDGED,
    Raw,
    guess_time_format,
    judged,
    microseconds,
    numbered,
)
from training.data.scan import LogFile, read_delimited, read_parquet
from training.data.values import identifier
from training.errors import UserError

CHUNK = 200_000  # records judged at a time
SAMPLE = 100  # rows looked at to find out how times are written
SECTION: Role = "interactions"


class Log(NamedTuple):
    """All good interactions in file order: user, item, time (microseconds), rating, type."""

    frame: pl.LazyFrame
    format: str
    good: int
    rows: int  # good and bad
    timed: bool  # False: the order in the file is all there is
    empty: tuple[Path, ...] = ()  # files of a folder in which nothing is


def read_interactions(
    config: InteractionsConfig, rejects: SourceRejects, scratch: Path, *, typed: bool = False
) -> Log:
    """Read, and judge every row: the log, then what the service has stored beside it.

    ``scratch`` must outlive the frame. typed: types are needed. Raises UserError.
    """
    log = _read_log(config, rejects, scratch / "log", typed=typed and config.type is None)
    if config.type is not None:
        log = log._replace(frame=log.frame.with_columns(type=pl.lit(config.type)))
    if config.stored is None or not any(config.stored.rglob("*.parquet")):
        return log
    if not log.timed:
        raise UserError(
            f"interactions.stored: what is stored has times, and {config.path} has none: "
            "set interactions.columns.time"
        )
    stored = InteractionsConfig(path=config.stored, format="parquet")
    events = _read_log(stored, rejects, scratch / "stored", typed=typed)
    frames = [each.frame.select(JUDGED) for each in (log, events)]
    both = pl.concat(frames, how="vertical_relaxed")
    return log._replace(
        frame=both,
        good=log.good + events.good,
        rows=log.rows + events.rows,
        empty=(*log.empty, *events.empty),
    )


def _read_log(
    config: InteractionsConfig, rejects: SourceRejects, scratch: Path, *, typed: bool
) -> Log:
    before = rejects.counts.total()
    paths, empty = find_files(config.path, config.format, SECTION)
    files = [_open(path, config, rejects, typed) for path in paths]
    check_alike(SECTION, [(file.path, _what_matters(file)) for file in files])
    frame = pl.concat([_read(file, rejects, scratch / f"{at:05}") for at, file in enumerate(files)])
    timed = all(file.raw.time for file in files)
    if not timed:
        frame = frame.with_columns(time=pl.lit(None, pl.Int64))
    good: int = frame.select(pl.len()).collect(engine="streaming").item()
    rows = good + rejects.counts.total() - before
    return Log(frame, files[0].layout.name, good, rows, timed, empty)


def _open(path: Path, config: InteractionsConfig, rejects: SourceRejects, typed: bool) -> LogFile:
    layout = recognise(path, config.format, config.separator)
    table = open_table(path, layout, rejects)
    columns, asked = Columns(path, table.names, SECTION), config.columns
    rated = config.min_rating is not None  # else ratings may be as they are
    raw = Raw(
        user=columns.required("user", asked.user, USER),
        item=columns.required("item", asked.item, ITEM),
        time=columns.optional("time", asked.time, TIME),
        rating=columns.required("rating", asked.rating, RATING) if rated else None,
        type=columns.required("type", asked.type, TYPE) if typed else None,
    )
    time_format = config.time_format
    if time_format == "auto" and raw.time:
        time_format = _time_format(path, layout, raw.time)
    return LogFile(path, layout, table, raw, time_format)


def _what_matters(file: LogFile) -> Mapping[str, object]:
    """Columns that all files must have alike: without times in one, none would count in any."""
    return file.raw._asdict()


def _time_format(path: Path, layout: Layout, column: str) -> str:
    """Raises UserError where numbers are dates: as seconds they would be of another time."""
    unreported: Table = open_table(path, layout, SourceRejects.nowhere())
    sample = [row.values[0] for row in islice(unreported.rows([column]), SAMPLE)]
    if (found := numbered(sample)) is None:
        return guess_time_format(sample)
    example, date = _first_date(sample, found)
    how = "days as Excel counts them" if found == EXCEL else "dates"
    raise UserError(
        f"{path}: {column!r} holds numbers such as {example}, which look like {how} ({date}), not "
        f"like seconds since 1970: set interactions.time_format = {found!r}, or 'seconds' if that "
        "is what they are"
    )


def _first_date(values: list[Any], time_format: str) -> tuple[str, str]:
    """The first that can be read, as it stands and as a date."""
    texts = pl.DataFrame({"text": [*map(str, values)]}, {"text": pl.String})
    time = microseconds("text", pl.String(), time_format).cast(pl.Datetime("us"))
    read = texts.with_columns(date=time.dt.strftime("%Y-%m-%d %H:%M")).drop_nulls()
    text, date = read.row(0)
    return text, date


def _read(file: LogFile, rejects: SourceRejects, scratch: Path) -> pl.LazyFrame:
    if file.layout.kind == "parquet":
        return read_parquet(file, rejects)
    clean = read_delimited(file)
    return _one_by_one(file, rejects, scratch) if clean is None else clean


def _one_by_one(file: LogFile, rejects: SourceRejects, scratch: Path) -> pl.LazyFrame:
    scratch.mkdir(parents=True)
    raw = file.raw.by_role()
    schema = dict.fromkeys(Raw._fields, pl.String())
    as_text = [_number if role in ("time", "rating") else identifier for role in Raw._fields]
    for at, rows in enumerate(_chunks(file.table.rows(file.raw))):
        columns = [[text(row.values[place]) for row in rows] for place, text in enumerate(as_text)]
        chunk = pl.LazyFrame(columns, schema, orient="col").with_row_index("at")
        judge = judged(chunk, raw, file.time_format).collect()
        bad = judge.filter(pl.col("reason").is_not_null())
        for place, reason in bad.select("at", "reason").iter_rows():
            rejects.add(file.path, rows[place].line, Reason(reason), rows[place].text)
        good = judge.filter(pl.col("reason").is_null()).select(JUDGED)
        good.write_parquet(scratch / f"{at:06}.parquet", compression="lz4")
    return pl.scan_parquet(scratch / "*.parquet")


def _chunks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """There is always a first chunk, if an empty one."""
    yield list(islice(rows, CHUNK))
    while chunk := list(islice(rows, CHUNK)):
        yield chunk


def _number(value: Any) -> str | None:
    """JSON's numbers as text; a list or an object is no time or rating."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, str | int | float) else None
