"""Events as tables: ``done/`` and ``shown/``, each ``date=.../hour=.../*.parquet`` by time in UTC.

``done`` has what users did, a row an event. ``shown`` has what was recommended, a row an item.
Whoever reads a folder finds no file that is half written; one may go while it is read, where
several become one or a user is forgotten: read again. Needs polars, which only the process that
stores imports.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import polars as pl
from polars.exceptions import PolarsError
from pydantic_core import to_json

from models.contract.store import put_in_place
from service.events.record import Event, Shown

Change = Callable[[pl.DataFrame], pl.DataFrame]
_MANY = 8  # small files of an hour that are made one
_SMALL = 100_000  # rows: of larger ones an hour may have any number, and none is read whole again
_TIME = pl.Datetime("us", "UTC")
_DONE: dict[str, Any] = {
    "id": pl.String, "source": pl.String, "type": pl.String, "user_id": pl.String,
    "item_id": pl.String, "time": pl.Float64, "value": pl.Float64, "recommendation_id": pl.String,
    "position": pl.Int64, "context": pl.String,
}  # fmt: skip
_SHOWN: dict[str, Any] = {
    "recommendation_id": pl.String, "item_ids": pl.List(pl.String), "time": pl.Float64,
    "user_id": pl.String, "after": pl.String, "model": pl.String, "odds": pl.List(pl.Float64),
}  # fmt: skip


class Table:
    """A folder of files by the hour. key: columns that no two rows share."""

    def __init__(self, folder: Path, key: Sequence[str]) -> None:
        self.folder = folder
        self.key = key

    def add(self, rows: pl.DataFrame) -> None:
        """Rows that are not there yet."""
        hours = rows.with_columns(
            date=pl.col("time").dt.strftime("%Y-%m-%d"), hour=pl.col("time").dt.strftime("%H")
        )
        for (date, hour), part in hours.partition_by("date", "hour", as_dict=True).items():
            self._add(part.drop("date", "hour"), self.folder / f"date={date}" / f"hour={hour}")

    def files(self) -> list[Path]:
        """All, oldest hour first."""
        return _files(self.folder.glob("date=*/hour=*"))

    def sweep(self) -> None:
        """Remove what somebody was killed in writing; for who knows that nobody writes."""
        for partial in self.folder.glob("date=*/hour=*/.*.parquet"):
            partial.unlink()

    def forget(self, user_ids: Sequence[str]) -> None:
        """Rewrite files that know these users."""
        self._rewrite(user_ids, lambda rows: rows.filter(~pl.col("user_id").is_in(user_ids)))

    def rename(self, user_id: str, into: str) -> None:
        """What that user did, another did."""
        name = pl.col("user_id").replace(user_id, into)
        self._rewrite([user_id], lambda rows: rows.with_columns(user_id=name))

    def _add(self, rows: pl.DataFrame, folder: Path) -> None:
        rows = rows.unique(self.key, keep="first", maintain_order=True)
        there = _files([folder])
        rows = self._new(rows, there)
        if rows.is_empty():
            return
        small = [file for file in there if _rows(file) < _SMALL]
        if len(small) < _MANY:
            _write(rows, folder)
            return
        both = pl.concat([*map(_read, small), rows], how="diagonal")
        both = both.unique(self.key, keep="first", maintain_order=True)
        both = self._new(both, set(there).difference(small))  # one was killed here before
        if not both.is_empty():
            _write(both.sort("time", maintain_order=True), folder)
        for file in small:  # a reader that comes here first finds rows twice, and none is missing
            file.unlink()

    def _new(self, rows: pl.DataFrame, files: Iterable[Path]) -> pl.DataFrame:
        """Those that are not in the files, of which one at a time is looked through."""
        keys = rows.lazy().select(self.key)
        for file in files:
            known = _of(file, lambda r: r.select(self.key).join(keys, on=self.key, how="semi"))
            rows = rows.join(known, on=self.key, how="anti", maintain_order="left")
        return rows

    def _rewrite(self, user_ids: Sequence[str], change: Change) -> None:
        for file in self.files():
            named = _of(file, lambda rows: rows.select(pl.col("user_id").is_in(user_ids).any()))
            if named.item():
                kept = change(_read(file))
                if kept.is_empty():
                    file.unlink()
                else:
                    _write(kept, file.parent, file.name)


def done(events: Iterable[Event]) -> pl.DataFrame:
    """A row an event."""
    rows = [
        event._asdict() | {"context": _text(event.context), "position": _small(event.position)}
        for event in events
    ]
    return _timed(pl.DataFrame(rows, schema=_DONE))


def shown(answers: Iterable[Shown]) -> pl.DataFrame:
    """A row an item that was recommended, with its position and odds there."""
    rows = [answer._asdict() | {"odds": _odds(answer)} for answer in answers if answer.item_ids]
    frame = pl.DataFrame(rows, schema=_SHOWN).rename({"item_ids": "item_id"})
    frame = frame.with_columns(position=pl.int_ranges(1, pl.col("item_id").list.len() + 1))
    return _timed(frame.explode("item_id", "odds", "position"))


def _odds(answer: Shown) -> Sequence[float | None]:
    """One an item: those that are told of other items than these are of no use."""
    unknown = [None] * len(answer.item_ids)
    odds = answer.odds or unknown
    return odds if len(odds) == len(unknown) else unknown


def _small(position: int | None) -> int | None:
    """A log of an earlier release may hold any number; what no table can hold is no place."""
    return None if position is None or position >= 2**63 else position


def _text(context: Mapping[str, Any] | None) -> str | None:
    return None if context is None else to_json(context).decode()


def _timed(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns((pl.col("time") * 1e6).round().cast(pl.Int64).cast(_TIME))


def _files(folders: Iterable[Path]) -> list[Path]:
    return sorted(file for folder in folders for file in folder.glob("[!.]*.parquet"))


def _of(file: Path, query: Callable[[pl.LazyFrame], pl.LazyFrame]) -> pl.DataFrame:
    """What is asked of a file's rows. Raises OSError, with its name, for one that is damaged."""
    try:
        return query(pl.scan_parquet(file, hive_partitioning=False)).collect()
    except PolarsError as error:
        raise OSError(f"{file} cannot be read: {error}") from error


def _read(file: Path) -> pl.DataFrame:
    return _of(file, lambda rows: rows)


def _rows(file: Path) -> int:
    count: int = _of(file, lambda rows: rows.select(pl.len())).item()
    return count


def _write(rows: pl.DataFrame, folder: Path, name: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    name = name or f"{uuid4().hex}.parquet"
    partial = folder / f".{name}"
    try:
        rows.write_parquet(partial)
        put_in_place(partial, folder / name)
    finally:
        partial.unlink(missing_ok=True)
