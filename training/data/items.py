"""The catalogue's content in any supported format: id, title, one text, attributes, a picture."""

import json
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import polars as pl

from models.contract.intake import ContentColumns
from models.contract.words import joined, plain_text
from training.config import ItemsConfig
from training.data.columns import IMAGE, ITEM, TEXT, TITLE, Columns
from training.data.folder import check_alike, find_files
from training.data.formats import GENRES, Layout, Role, recognise
from training.data.item_files import ItemFiles, OutsideError
from training.data.records import Row, Table, open_table
from training.data.rejects import Reason, SourceRejects
from training.data.unread import Unread
from training.data.values import as_given, decoded, identifier
from training.errors import UserError

CHUNK = 5_000  # items held at a time: each may hold a picture
SECTION: Role = "items"
CONTENT = {
    "item_id": pl.String(),
    "title": pl.String(),
    "text": pl.String(),
    "attributes": pl.String(),  # as given: a JSON object of columns, each a scalar or a list
    "picture": pl.String(),  # for pages: a URL, or a path from the item file's folder
    "image_path": pl.String(),  # from the item file's folder; there may be no such file
    "image_bytes": pl.Binary(),
}


class Catalogue(NamedTuple):
    """All good items, one row an id, in file order; columns as in ``CONTENT``, then ``files``."""

    frame: pl.LazyFrame
    format: str
    rows: int  # good and bad
    columns: ContentColumns = ContentColumns()
    unread: Mapping[str, int] = MappingProxyType({})  # values of which nothing is read, by column
    empty: tuple[Path, ...] = ()  # files of a folder in which nothing is


class _Roles(NamedTuple):
    """Columns of one file."""

    item: str
    title: str | None
    image: str | None
    text: list[str]
    attributes: list[str]
    files: list[str]


class _ItemFile(NamedTuple):
    """One file of the catalogue, and what is known of it before its rows are read."""

    path: Path
    layout: Layout
    table: Table
    roles: _Roles
    flags: list[str]  # MovieLens 100k: a column of 0 or 1 for each genre


def read_items(config: ItemsConfig, rejects: SourceRejects, scratch: Path) -> Catalogue:
    """Read the catalogue; of items with the same id the first counts."""
    paths, empty = find_files(config.path, config.format, SECTION)
    opened = [_open(path, config, rejects) for path in paths]
    # Rows of JSON need not all have the same keys.
    fixed = [file for file in opened if file.layout.kind != "json"]
    check_alike(SECTION, [(file.path, file.roles._asdict()) for file in fixed])
    scratch.mkdir(parents=True)
    beside, unread = ItemFiles(config), Unread()
    schema = CONTENT | {f"{name}_path": pl.String() for name in config.columns.files}
    seen: set[str] = set()
    good = 0
    for at, file in enumerate(opened):
        items = _read(file, rejects, seen, beside, unread)
        for part in range(2**31):
            chunk = list(islice(items, CHUNK))
            pl.DataFrame(chunk, schema, orient="row").write_parquet(
                scratch / f"{at:05}-{part:06}.parquet"
            )
            good += len(chunk)
            if len(chunk) < CHUNK:
                break
    asked = config.columns
    unread.check(filter(None, [asked.title, *(asked.text or ()), *asked.attributes]))
    first, *_ = opened
    frame = pl.scan_parquet(scratch / "*.parquet")
    rows = good + rejects.counts.total()
    columns = _content_columns(first)
    return Catalogue(frame, first.layout.name, rows, columns, dict(unread.counts), empty)


def _open(path: Path, config: ItemsConfig, rejects: SourceRejects) -> _ItemFile:
    layout = recognise(path, config.format, config.separator)
    if layout.kind == "sequences":
        raise UserError(f"items.path: {path} looks like sequences, which hold no item content")
    table = open_table(path, layout, rejects)
    flags = [name for name in GENRES if layout.name == "movielens" and name in table.names]
    roles = _roles(Columns(path, table.names, SECTION), config)
    return _ItemFile(path, layout, table, roles, flags)


def _read(
    file: _ItemFile, rejects: SourceRejects, seen: set[str], beside: ItemFiles, unread: Unread
) -> Iterator[tuple[Any, ...]]:
    """Rows of ``CONTENT`` and of files, of items that are not ``seen`` yet."""
    path, roles, flags = file.path, file.roles, file.flags
    asked = [roles.item, roles.title, roles.image]
    many = [roles.text, roles.attributes, roles.files, flags]
    said = [roles.title or "", *roles.text, *roles.attributes]
    for row in file.table.rows([*asked, *chain.from_iterable(many)]):
        item_id = identifier(row.values[0])
        if item_id is None:
            rejects.add(path, row.line, _why_none(row.values[0]), _excerpt(row))
        elif "\0" in item_id:
            rejects.add(path, row.line, Reason.ZERO_BYTE, _excerpt(row))
        elif item_id in seen:
            rejects.add(path, row.line, Reason.DUPLICATE_ITEM, _excerpt(row))
        else:
            _, title, image, *values = row.values
            texts, attributes, named, raised = _cut(values, many)
            try:
                found = *beside.picture(item_id, image), *map(beside.named, named)
            except OutsideError:
                rejects.add(path, row.line, Reason.OUTSIDE_FOLDER, _excerpt(row))
                continue
            seen.add(item_id)
            values_of = dict(zip(said, [title, *texts, *attributes], strict=True))
            unread.look(path, row.line, values_of)
            text = joined([*texts, _flagged(flags, raised)])
            given = _as_json(roles.attributes, attributes)
            yield item_id, plain_text(title) or None, text, given, *found


def _why_none(value: Any) -> Reason:
    """Why a value is no id."""
    broken = isinstance(value, bytes) and decoded(value) is None
    return Reason.BROKEN_UTF8 if broken else Reason.MISSING_ITEM


def _content_columns(file: _ItemFile) -> ContentColumns:
    """What a new item's content is to be called."""
    roles, flagged = file.roles, ("genres",) if file.flags else ()
    return ContentColumns(
        title=roles.title, text=(*roles.text, *flagged), attributes=tuple(roles.attributes)
    )


def _cut(values: list[Any], many: list[list[str]]) -> list[list[Any]]:
    """Values, by the lists of columns that they are of."""
    left = iter(values)
    return [list(islice(left, len(columns))) for columns in many]


def _as_json(columns: list[str], values: list[Any]) -> str | None:
    """What an item has of these columns, as given."""
    pairs = zip(columns, map(as_given, values), strict=True)
    given = {column: value for column, value in pairs if value is not None}
    return json.dumps(given, ensure_ascii=False) if given else None


def _roles(columns: Columns, config: ItemsConfig) -> _Roles:
    asked = config.columns
    return _Roles(
        columns.required("item", asked.item, ITEM),
        columns.optional("title", asked.title, TITLE),
        columns.optional("image", asked.image, IMAGE),
        columns.every("text", asked.text, TEXT),
        columns.every("attributes", asked.attributes, ()),
        [columns.exactly(f"files.{name}", column) for name, column in asked.files.items()],
    )


def _flagged(genres: list[str], flags: list[Any]) -> str:
    """MovieLens 100k has a column of 0 or 1 for each genre."""
    return ", ".join(genre for genre, flag in zip(genres, flags, strict=True) if flag == "1")


def _excerpt(row: Row) -> str:
    return row.text or repr(row.values)
