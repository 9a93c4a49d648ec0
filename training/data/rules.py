"""What makes an interaction good, said once, as Polars expressions.

The same expressions judge a Parquet file, a CSV file read in parallel, and a chunk of records that
were read one by one, so a row is good or bad whatever the road it came by.
"""

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from training.data.rejects import Reason
from training.data.values import decoded

# Numbers this large are no seconds (the year 5138) but milliseconds, and so on by thousands.
MILLISECONDS, MICROSECONDS, NANOSECONDS = 1e11, 1e14, 1e17
_DAY = 86_400  # seconds
_YEAR = 366 * _DAY
EXCEL, _EXCEL_1970 = "excel", 25_569  # days since 1899-12-30, as its cells hold them
# Dates that are numbers, too, and pass for seconds or milliseconds of another time.
NUMBERED = (EXCEL, "%Y%m%d", "%Y%m%d%H%M", "%Y%m%d%H%M%S")
_FIRST, _LAST = (dt.datetime(year, 1, 1, tzinfo=dt.UTC).timestamp() * 1e6 for year in (1980, 2100))
JUDGED = ("user", "item", "time", "rating", "type")
ISO_8601 = (
    *("%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M%#z"),
    *("%Y-%m-%d %H:%M", "%Y-%m-%d"),
)


class Raw(NamedTuple):
    """Names of the columns as they were read; None where the file has none."""

    user: str
    item: str
    time: str | None
    rating: str | None
    type: str | None = None

    def prefixed(self, prefix: str) -> "Raw":
        """The same columns after a renaming."""
        others = (name and prefix + name for name in (self.time, self.rating, self.type))
        return Raw(prefix + self.user, prefix + self.item, *others)

    def by_role(self) -> "Raw":
        """The same columns, each named for its role."""
        others = self.time and "time", self.rating and "rating", self.type and "type"
        return Raw("user", "item", *others)


def judged(frame: pl.LazyFrame, raw: Raw, time_format: str) -> pl.LazyFrame:
    """Adds user, item, time (microseconds), rating, type and ``reason``, null for a good row.

    Where there is a column of ratings, every row must have one.
    """
    types = frame.collect_schema()
    user, item = identifier(raw.user, types[raw.user]), identifier(raw.item, types[raw.item])
    checks = [
        (
            _broken(raw.user, types[raw.user]) | _broken(raw.item, types[raw.item]),
            Reason.BROKEN_UTF8,
        ),
        (_blank(user), Reason.MISSING_USER),
        (_blank(item), Reason.MISSING_ITEM),
        (_has_zero_byte(user) | _has_zero_byte(item), Reason.ZERO_BYTE),
    ]
    time: pl.Expr = pl.lit(None, pl.Int64)
    rating: pl.Expr = pl.lit(None, pl.Float64)
    type_ = identifier(raw.type, types[raw.type]) if raw.type else pl.lit(None, pl.String)
    if raw.time:
        time = microseconds(raw.time, types[raw.time], time_format)
        checks += [
            (_absent(raw.time, types[raw.time]), Reason.MISSING_TIME),
            (_infinite(raw.time, types[raw.time]), Reason.NOT_FINITE),
            (time.is_null(), Reason.BAD_TIME),
        ]
    if raw.rating:
        rating = number(raw.rating, types[raw.rating])
        absent = _absent(raw.rating, types[raw.rating])
        checks += [
            (_infinite(raw.rating, types[raw.rating]), Reason.NOT_FINITE),
            (rating.is_null() & ~absent, Reason.BAD_RATING),
            (absent, Reason.MISSING_RATING),
        ]
    reason = pl.coalesce(pl.when(bad).then(pl.lit(reason.value)) for bad, reason in checks)
    return frame.with_columns(
        user.alias("user"),
        item.alias("item"),
        time.alias("time"),
        rating.alias("rating"),
        type_.alias("type"),
        reason.alias("reason"),
    )


def guess_time_format(sample: Sequence[object]) -> str:
    """What ``auto`` comes to: ISO 8601 if most values look so, else numbers, by their size."""
    values = [text for value in sample if value is not None and (text := str(value).strip())]
    dated = sum(value[:1] != "-" and value.count("-") >= 2 for value in values)
    return "iso8601" if 2 * dated > len(values) else "auto"


def numbered(values: Sequence[object]) -> str | None:
    """The one of ``NUMBERED`` by which most of these are dates of our days; None if none is."""
    texts = pl.DataFrame({"time": [*map(str, values)]}, {"time": pl.String})
    for time_format in NUMBERED:
        time = microseconds("time", pl.String(), time_format)
        if 2 * texts.select(time.is_between(_FIRST, _LAST).sum()).item() > len(texts):
            return time_format
    return None


def is_time_format(time_format: str) -> bool:
    """Whether it is a name that is known, or a pattern by which a date comes back as it was."""
    if time_format in ("auto", "seconds", "milliseconds", "iso8601", EXCEL):
        return True
    date = pl.Series("date", [dt.datetime(2024, 5, 6, tzinfo=dt.UTC)])
    try:
        written = date.dt.strftime(time_format.replace("%#z", "%z"))  # the former is for reading
        read = written.to_frame().select(_from_text(pl.col("date"), time_format)).item()
    except pl.exceptions.PolarsError:
        return False
    # Of a pattern without a year Polars makes the year 1, and without a month January.
    return read is not None and abs(read / 1e6 - date[0].timestamp()) < _YEAR


def identifier(name: str, dtype: pl.DataType) -> pl.Expr:
    """An id is text, always, without surrounding blanks: "007" stays "007".

    Tools that know no missing integers write ids as 7.0; such a one is the integer's text. What is
    no finite number, or true or false, is no id.
    """
    column = pl.col(name)
    if dtype == pl.Boolean:
        return pl.lit(None, pl.String)
    if dtype.is_decimal():
        return column.cast(pl.String).str.replace(r"\.0*$", "")
    if dtype.is_float():
        whole = column.cast(pl.Int64, strict=False)
        return (
            pl.when(column == whole)
            .then(whole.cast(pl.String))
            .otherwise(pl.when(column.is_finite()).then(column).cast(pl.String))
        )
    return _text(name, dtype)


def number(name: str, dtype: pl.DataType, *, comma: bool = False) -> pl.Expr:
    """A number, null where there is none to read. comma: a text may have one for its point."""
    column = pl.col(name)
    if dtype == pl.Boolean:
        return pl.lit(None, pl.Float64)
    if dtype in (pl.String, pl.Binary):
        column = _text(name, dtype)
        column = column.str.replace(",", ".", literal=True) if comma else column
    return column.cast(pl.Float64, strict=False)


def microseconds(name: str, dtype: pl.DataType, time_format: str) -> pl.Expr:
    """A time in integer microseconds since 1970, null where it cannot be read."""
    column = pl.col(name)
    if dtype in (pl.Datetime, pl.Date):
        return column.cast(pl.Datetime("us")).dt.timestamp("us")
    if dtype in (pl.Time, pl.Duration):  # an hour of no day
        return pl.lit(None, pl.Int64)
    if time_format in ("auto", "seconds", "milliseconds"):
        return _from_number(number(name, dtype), time_format)
    if time_format == EXCEL:
        return _from_days(number(name, dtype, comma=True))
    text = _text(name, dtype)
    if time_format != "iso8601":
        return _from_text(text, time_format)
    text = text.str.replace("T", " ", literal=True)
    return pl.coalesce(_from_text(text, pattern) for pattern in ISO_8601)


def _from_number(value: pl.Expr, time_format: str) -> pl.Expr:
    if time_format == "auto":
        size = value.abs()
        factor = (
            pl.when(size < MILLISECONDS)
            .then(1e6)
            .when(size < MICROSECONDS)
            .then(1e3)
            .when(size < NANOSECONDS)
            .then(1.0)
            .otherwise(1e-3)
        )
    else:
        factor = pl.lit({"seconds": 1e6, "milliseconds": 1e3}[time_format])
    return (value * factor).round().cast(pl.Int64, strict=False)


def _from_days(value: pl.Expr) -> pl.Expr:
    """To the millisecond: an hour is no finite fraction of a day."""
    milliseconds = ((value - _EXCEL_1970) * _DAY * 1e3).round()
    return (milliseconds * 1e3).cast(pl.Int64, strict=False)


def _from_text(text: pl.Expr, pattern: str) -> pl.Expr:
    """Times without a zone are taken as UTC."""
    zone = "UTC" if "z" in pattern.lower() else None
    parsed = text.str.to_datetime(pattern, time_unit="us", time_zone=zone, strict=False)
    return parsed.dt.timestamp("us")


def _text(name: str, dtype: pl.DataType) -> pl.Expr:
    """Without surrounding blanks; null where bytes are no UTF-8."""
    column = pl.col(name)
    if dtype == pl.Binary:
        column = column.map_batches(_decoded, pl.String())
    return column.cast(pl.String).str.strip_chars()


def _decoded(values: pl.Series) -> pl.Series:
    """Polars casts all of them or none, whatever ``strict`` says."""
    try:
        return values.cast(pl.String)
    except pl.exceptions.PolarsError:
        return values.map_elements(decoded, pl.String())


def _broken(name: str, dtype: pl.DataType) -> pl.Expr:
    if dtype != pl.Binary:
        return pl.lit(False)
    return pl.col(name).is_not_null() & _text(name, dtype).is_null()


def _blank(identifier: pl.Expr) -> pl.Expr:
    return identifier.is_null() | (identifier == "")


def _has_zero_byte(identifier: pl.Expr) -> pl.Expr:
    """Where the map of ids in a bundle would stop reading."""
    return identifier.str.contains("\0", literal=True)


def _absent(name: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if dtype == pl.String:
        return column.is_null() | (column.str.strip_chars() == "")
    return column.is_null()


def _infinite(name: str, dtype: pl.DataType) -> pl.Expr:
    """NaN and the infinities, as numbers or in words."""
    if not (dtype == pl.String or dtype.is_float()):
        return pl.lit(False)
    return number(name, dtype).is_finite().not_().fill_null(False)
