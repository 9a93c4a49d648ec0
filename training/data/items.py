"""The catalogue's content in any supported format: id, title, one text, a picture."""

import math
import os
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from training.config import ItemsConfig
from training.data.columns import IMAGE, ITEM, TEXT, TITLE, Columns
from training.data.folder import check_alike, find_files
from training.data.formats import GENRES, Role, recognise
from training.data.records import Row, open_table
from training.data.rejects import Reason, SourceRejects
from training.encoders.words import attribute_words
from training.errors import UserError

CHUNK = 5_000  # items held at a time: each may hold a picture
SECTION: Role = "items"
CONTENT = {
    "item_id": pl.String(),
    "title": pl.String(),
    "text": pl.String(),
    "attributes": pl.String(),
    "image_path": pl.String(),
    "image_bytes": pl.Binary(),
}


class Catalogue(NamedTuple):
    """All good items, one row an id, in file order; columns as in ``CONTENT``."""

    frame: pl.LazyFrame
    format: str
    rows: int  # good and bad


class _Roles(NamedTuple):
    """Columns of one file."""

    item: str
    title: str | None
    image: str | None
    text: list[str]
    attributes: list[str]


def read_items(config: ItemsConfig, rejects: SourceRejects, scratch: Path) -> Catalogue:
    """Read the catalogue; of items with the same id the first counts."""
    paths = find_files(config.path, config.format, SECTION)
    check_alike(SECTION, [found for path in paths if (found := _fixed_roles(path, config))])
    scratch.mkdir(parents=True)
    pictures = _Pictures(config)
    seen: set[str] = set()
    good = 0
    for at, path in enumerate(paths):
        items = iter(_read(path, config, rejects, seen, pictures))
        for part in range(2**31):
            chunk = list(islice(items, CHUNK))
            pl.DataFrame(chunk, CONTENT, orient="row").write_parquet(
                scratch / f"{at:05}-{part:06}.parquet"
            )
            good += len(chunk)
            if len(chunk) < CHUNK:
                break
    name = recognise(paths[0], config.format, config.separator).name
    frame = pl.scan_parquet(scratch / "*.parquet")
    return Catalogue(frame, name, rows=good + rejects.counts.total())


def _read(
    path: Path, config: ItemsConfig, rejects: SourceRejects, seen: set[str], pictures: "_Pictures"
) -> Iterator[tuple[Any, ...]]:
    layout = recognise(path, config.format, config.separator)
    if layout.kind == "sequences":
        raise UserError(f"items.path: {path} looks like sequences, which hold no item content")
    table = open_table(path, layout, rejects)
    roles = _roles(Columns(path, table.names, SECTION), config)
    flags = [name for name in GENRES if layout.name == "movielens" and name in table.names]
    asked = [roles.item, roles.title, roles.image, *roles.text, *roles.attributes, *flags]
    for row in table.rows(asked):
        item_id = _identifier(row.values[0])
        if item_id is None:
            rejects.add(path, row.line, Reason.MISSING_ITEM, _excerpt(row))
        elif item_id in seen:
            rejects.add(path, row.line, Reason.DUPLICATE_ITEM, _excerpt(row))
        else:
            seen.add(item_id)
            _, title, image, *values = row.values
            texts, attributes, raised = _cut(values, len(roles.text), len(roles.attributes))
            text = "\n".join(filter(None, map(_plain_text, [*texts, _flagged(flags, raised)])))
            words = " ".join(chain.from_iterable(map(_words, roles.attributes, attributes)))
            described = _plain_text(title) or None, text or None, words or None
            yield item_id, *described, *pictures.find(item_id, image)


def _fixed_roles(path: Path, config: ItemsConfig) -> tuple[Path, Mapping[str, object]] | None:
    """The columns of a file's roles; None where its rows need not all have the same."""
    layout = recognise(path, config.format, config.separator)
    if layout.kind in ("json", "sequences"):
        return None
    table = open_table(path, layout, SourceRejects.nowhere())
    return path, _roles(Columns(path, table.names, SECTION), config)._asdict()


def _words(column: str, value: Any) -> list[str]:
    return attribute_words(column, _plain_text(value))


def _cut(values: list[Any], first: int, second: int) -> tuple[list[Any], list[Any], list[Any]]:
    return values[:first], values[first : first + second], values[first + second :]


def _roles(columns: Columns, config: ItemsConfig) -> _Roles:
    asked = config.columns
    return _Roles(
        columns.required("item", asked.item, ITEM),
        columns.optional("title", asked.title, TITLE),
        columns.optional("image", asked.image, IMAGE),
        columns.every("text", asked.text, TEXT),
        columns.every("attributes", asked.attributes, ()),
    )


def _identifier(value: Any) -> str | None:
    """As ``rules.identifier`` has it for interactions, or the two would not meet."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, str | int) or isinstance(value, bool):
        return None
    return str(value).strip() or None


def _plain_text(value: Any) -> str:
    """Any value as text: lists, nested ones too, joined by commas."""
    if value is None or isinstance(value, bytes | dict):
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(filter(None, map(_plain_text, value)))
    if isinstance(value, float):
        return f"{value:g}" if math.isfinite(value) else ""
    return str(value).strip()


def _flagged(genres: list[str], flags: list[Any]) -> str:
    """MovieLens 100k has a column of 0 or 1 for each genre."""
    return ", ".join(genre for genre, flag in zip(genres, flags, strict=True) if flag == "1")


def _excerpt(row: Row) -> str:
    return row.text or repr(row.values)


class _Pictures:
    """Where an item's picture lies. Nothing is fetched: a URL is no picture."""

    def __init__(self, config: ItemsConfig) -> None:
        self._folder = config.path.resolve().parent
        self._template = config.image_template

    def find(self, item_id: str, image: Any) -> tuple[str | None, bytes | None]:
        """A path to an existing file, or the picture's bytes, or neither."""
        if isinstance(image, bytes):
            return None, image or None
        if isinstance(image, str) and image.strip() and "://" not in image:
            return self._existing(image.strip()), None
        if self._template is None or _climbs(item_id):
            return None, None
        return self._existing(self._template.replace("{item_id}", item_id)), None

    def _existing(self, name: str) -> str | None:
        path = os.path.normpath(self._folder / name)
        return path if os.path.isfile(path) else None  # noqa: PTH113


def _climbs(item_id: str) -> bool:
    """An id such as ``../key`` must not lead out of the folder that the template names."""
    return ".." in Path(item_id).parts or Path(item_id).is_absolute()
