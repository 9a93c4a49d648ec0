"""How a column's times are written, found by reading them as a run would."""

import math
from datetime import UTC, datetime
from typing import Any

import polars as pl

from training.data.rules import guess_time_format, microseconds, numbered
from training.start.look import Look

_DATES = (
    *("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d"),
    *("%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%d %b %Y", "%b %d, %Y"),
)
_CLOCKS = ("", " %H:%M", " %H:%M:%S%.f", " %I:%M %p", " %I:%M:%S %p")
_FIRST, _LAST = (datetime(year, 1, 1, tzinfo=UTC).timestamp() * 1e6 for year in (1970, 2100))


def formats(found: Look, name: str) -> tuple[str, ...]:
    """What ``time_format`` may be; several where days and months may be either, none where nothing
    reads most of the values.
    """
    column = _column(found, name)
    if not column.schema["time"].is_temporal() and (dates := numbered(found.columns[name])):
        return (dates,)
    if _read(column, guess_time_format(found.columns[name])):
        return ("auto",)
    patterns = [f"{date}{clock}" for date in _DATES for clock in _CLOCKS]
    read = {pattern: _read(column, pattern) for pattern in patterns}
    most = max(read.values())
    return tuple(pattern for pattern in patterns if most and read[pattern] == most)


def likely(found: Look, names: list[str]) -> list[str]:
    """Columns that hold times beyond doubt: numbers may be anything."""
    return [
        name
        for name in names
        if found.columns[name] and not are_numbers(found.columns[name]) and formats(found, name)
    ]


def are_numbers(values: list[Any]) -> bool:
    """Whether all are, and there are any."""
    try:
        return bool(values) and all(math.isfinite(float(value)) for value in values)
    except (TypeError, ValueError):
        return False


def _column(found: Look, name: str) -> pl.DataFrame:
    values = found.columns[name]
    typed = found.format == "parquet" and len({*map(type, values)}) == 1  # in all files alike
    return pl.DataFrame({"time": values if typed else [*map(str, values)]})


def _read(column: pl.DataFrame, time_format: str) -> int:
    """How many values it makes times of, if most."""
    time = microseconds("time", column.schema["time"], time_format)
    read = int(column.select(time.is_between(_FIRST, _LAST).sum()).item())
    return read if 2 * read > len(column) else 0
