"""What the prepare stage leaves behind, and how the later stages open it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from models.contract.config import Frozen, Recommend
from models.contract.intake import ContentColumns
from models.contract.ragged import before_each
from training.data.histories import Histories
from training.errors import UserError

INTERACTIONS, ITEMS, USERS = "interactions.parquet", "items.parquet", "users.parquet"
REJECTS, CARD = "rejects.jsonl", "dataset.json"
_OFTEN = 0.05  # share of the interactions, from which on to have an item again is a habit


class SourceCard(Frozen):
    """What was read from the user's file or folder."""

    source: str = Field(description="its name; folders above it are nobody else's business")
    format: str
    rows: int = Field(ge=0, description="rows found, good and bad")
    rejected: dict[str, int] = Field(description="bad rows by reason; each is in the rejects file")
    empty: tuple[str, ...] = Field((), description="files of the folder in which nothing is")
    unread: dict[str, int] = Field(
        {}, description="values by column of which nothing is read: objects, bytes"
    )


class RemovedCard(Frozen):
    """Good interactions that the configuration asked to leave out, in this order."""

    min_rating: int = Field(0, ge=0)
    listed: int = Field(0, ge=0, description="with items that the catalogue does not list")
    events: int = Field(0, ge=0, description="of types that [events] does not name, or dislikes")
    deduplicate: int = Field(0, ge=0)
    k_core: int = Field(0, ge=0)
    max_history: int = Field(0, ge=0)


class SplitCard(Frozen):
    """How interactions were split; it travels inside the bundle."""

    kind: Literal["leave_one_out", "temporal"]
    seed: int
    ties: Literal["file", "shuffle"]
    timed: bool = Field(description="False: the log has no times, its order counts")
    validation_from: int | None = Field(None, description="temporal: first time of it, unix s")
    test_from: int | None = Field(None, description="temporal: first time of it, unix s")
    until: int | None = Field(None, description="when the last interaction was, unix s")
    interactions: dict[str, int] = Field(description="by part: train, validation, test")
    evaluated_users: dict[str, int] = Field(
        description="by part: users with something held out and a history before it"
    )


class ContentCard(Frozen):
    """What is known of the items: how many of them have which content, and the rest."""

    title: int = Field(0, ge=0)
    text: int = Field(0, ge=0)
    image: int = Field(0, ge=0, description="the picture is given, or its file named")
    columns: ContentColumns = ContentColumns()
    undescribed: int = Field(0, ge=0, description="items of the log missing in the catalogue")
    such_as: str | None = Field(None, description="the id of one of them")
    unseen: int = Field(0, ge=0, description="items that no kept interaction names, kept as asked")
    left_out: int = Field(0, ge=0, description="items that no kept interaction names, left out")


class DatasetCard(Frozen):
    """``dataset.json``: every row of the input is in one of these counts."""

    users: int = Field(ge=0)
    items: int = Field(ge=0, description="size of the catalogue; item_index is below it")
    interactions: int = Field(ge=0)
    interactions_source: SourceCard
    items_source: SourceCard | None
    weighted: bool = Field(False, description="interactions count by their types: [events]")
    repeats: float = Field(
        0.0, ge=0, le=1, description="share of items that a user had before, but not just before"
    )
    adjacent: float = Field(
        0.0, ge=0, le=1, description="share of items that a user had just before, within a day"
    )
    removed: RemovedCard
    unnamed: dict[str, int] = Field(
        {}, description="rows by type that [events] does not name, the most frequent types"
    )
    content: ContentCard
    split: SplitCard

    def taken(self) -> int:
        """Items that the log names: without those that nobody has taken yet."""
        return self.items - self.content.unseen

    def fitting(self) -> Recommend:
        """Which ``recommend`` the log speaks for."""
        return "all" if self.repeats >= _OFTEN else "new"

    def is_doubled(self) -> bool:
        """Whether what is one use is there several times: deduplicate = 'consecutive' fits."""
        return self.adjacent >= _OFTEN


@dataclass(frozen=True)
class PreparedDataset:
    """The prepared data; each part is read when it is first asked for, and once."""

    directory: Path
    card: DatasetCard

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Open the folder that ``prepare`` wrote."""
        try:
            card = DatasetCard.model_validate_json((directory / CARD).read_text(encoding="utf-8"))
        except OSError as error:
            raise UserError(f"{directory} holds no prepared data: run `prepare` first") from error
        return cls(directory, card)

    @cached_property
    def histories(self) -> Histories:
        """Everybody's interactions."""
        columns = ["user_index", "item_index", "part", *(["weight"] if self.card.weighted else [])]
        log = pl.read_parquet(self.directory / INTERACTIONS, columns=columns)
        return histories_of(log, self.card.users)

    @cached_property
    def items(self) -> pl.DataFrame:
        """One row an item_index, in order; nulls where there is no content.

        item_index, item_id, title, text, attributes (a JSON object: column to scalar or list, as
        given), picture (for pages: a URL, or a path from the item file's folder), image_path and a
        column NAME_path for each of ``items.columns.files``: paths from there, too, be the files
        there or not.
        """
        return pl.scan_parquet(self.directory / ITEMS).drop("image_bytes").collect()

    def contents(self) -> pl.DataFrame:
        """``items`` and image_bytes, which may be more than all else together."""
        return pl.read_parquet(self.directory / ITEMS)

    def times(self) -> NDArray[np.int64]:
        """(interactions,): when each of ``histories`` was, unix s; 0 where there is no time."""
        column = pl.read_parquet(self.directory / INTERACTIONS, columns=["timestamp"])
        return column["timestamp"].fill_null(0).to_numpy()


def histories_of(log: pl.DataFrame, users: int) -> Histories:
    """Histories of a log that is sorted by user_index, then order."""
    counts = np.bincount(log["user_index"].to_numpy(), minlength=users)
    return Histories(
        offsets=before_each(counts),
        items=log["item_index"].cast(pl.Int32).to_numpy(),
        parts=log["part"].to_numpy(),
        weights=log["weight"].to_numpy() if "weight" in log.columns else None,
    )
