"""What is read, what is kept of it, and how it is split."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from models.contract.types import IMAGE, Modality
from training.config.section import Section, Share

Format = Literal[
    "auto", "csv", "tsv", "jsonl", "parquet", "recbole", "movielens", "amazon", "sequences"
]
PartOf = Annotated[float, Field(gt=0, lt=1)]


def _separates(separator: str) -> str:
    if {*separator} & {*'"\r\n'}:
        raise ValueError(f"{separator!r} has a quote or a line break in it")
    return separator


Separator = Annotated[str, AfterValidator(_separates)]


class InteractionColumns(Section):
    """Names of the columns in the user's file; ``None`` means the usual names.

    Those are listed in ``training/data/columns.py``: user_id, item_id, timestamp, rating...
    """

    user: str | None = Field(None, description="who; usually user_id, customer_id, ...")
    item: str | None = Field(None, description="what; usually item_id, product_id, asin, ...")
    time: str | None = Field(None, description="when; without one, the file's order counts")
    rating: str | None = Field(None, description="how much; needed for min_rating alone")
    type: str | None = Field(None, description="view, purchase, ...; needed for [events] alone")


class InteractionsConfig(Section):
    """``[interactions]``: where the log is and how to read it."""

    path: Path = Field(description="the log: a file, or a folder of files")
    format: Format = Field("auto", description="auto: by the file's name, else by its content")
    columns: InteractionColumns = InteractionColumns()
    separator: Separator | None = Field(
        None, min_length=1, description="for csv and tsv; default , or tab"
    )
    time_format: str = Field(
        "auto",
        description="auto, seconds, milliseconds, iso8601, excel (its days), or a strptime pattern",
    )
    min_rating: float | None = Field(None, description="keep only interactions rated at least this")
    type: str | None = Field(
        None, description="of all of the log, such as purchase, where no column tells"
    )
    stored: Path | None = Field(
        None,
        description="read beside the log: the folder in which the service stores events, such as "
        "my-shop/events/done; it may not be there yet. Needs [events]",
    )

    @field_validator("time_format")
    @classmethod
    def _reads_dates(cls, time_format: str) -> str:
        from training.data.rules import is_time_format  # Polars takes a while to import

        if not is_time_format(time_format):
            raise ValueError(
                f"{time_format!r} is none of auto, seconds, milliseconds, iso8601 and excel, and "
                "no strptime pattern by which a date can be read"
            )
        return time_format


class ItemColumns(Section):
    """Names of the columns in the user's item file; ``None`` means the usual names."""

    item: str | None = Field(None, description="the id that interactions name")
    title: str | None = Field(None, description="shown with recommendations")
    text: tuple[str, ...] | None = Field(None, description="joined, in order, into one text")
    attributes: tuple[str, ...] = Field(
        (), description="brand, category, cast: each value is a word that only this column has"
    )
    image: str | None = Field(
        None, description="bytes, or a path from the item file's folder that stays inside it"
    )
    files: dict[Modality, str] = Field(
        {}, description="columns of such paths for other encoders: audio = 'clip' gives audio_path"
    )

    @model_validator(mode="after")
    def _pictures_have_a_column(self) -> Self:
        if IMAGE in self.files:
            raise ValueError("files.image: name the column of pictures with columns.image")
        return self


class ItemsConfig(Section):
    """``[items]``: the catalogue's content. Optional: without it only behaviour is learned from."""

    path: Path = Field(description="the catalogue: a file, or a folder of files")
    format: Format = Field("auto", description="auto: by the file's name, else by its content")
    columns: ItemColumns = ItemColumns()
    separator: Separator | None = Field(
        None, min_length=1, description="for csv and tsv; default , or tab"
    )
    image_template: str | None = Field(
        None, description='where pictures lie, such as "posters/{item_id}.jpg", relative to path'
    )
    keep_unseen: bool = Field(
        False, description="keep items that no kept interaction names: recommendable, never bought"
    )

    @field_validator("image_template")
    @classmethod
    def _names_an_item(cls, template: str | None) -> str | None:
        if template is not None and "{item_id}" not in template:
            raise ValueError(f"{template!r} has no {{item_id}}: all items would share a picture")
        return template


class FilterConfig(Section):
    """``[filter]``: what is kept."""

    k_core: int = Field(5, ge=0, description="every user and item has at least this many; 0 = off")
    listed: bool = Field(
        False, description="only items that [items] lists: others can be had no more"
    )
    deduplicate: Literal["none", "consecutive", "all"] = Field(
        "none", description="a user's repeats of an item: keep, drop adjacent ones, keep the first"
    )
    max_history: int | None = Field(None, ge=3, description="keep a user's latest interactions")
    max_reject_share: Share = Field(0.01, description="more bad rows than this stop the run")


class SplitConfig(Section):
    """``[split]``: which interactions are trained on, validated on, tested on."""

    kind: Literal["leave_one_out", "temporal"] = Field(
        "leave_one_out",
        description="each user's last two items are held out, or the end of the time line",
    )
    validation_share: PartOf = Field(0.1, description="temporal: share of the time line's rows")
    test_share: PartOf = Field(0.1, description="temporal: share of the time line's rows")
    test_from: int | None = Field(
        None, ge=0, description="temporal: when the test part begins, unix s; for test_share"
    )
    ties: Literal["file", "shuffle"] = Field(
        "file", description="order of a user's interactions of equal time: as read, or seeded"
    )

    @field_validator("test_from")
    @classmethod
    def _is_of_a_time_line(cls, test_from: int | None, info: ValidationInfo) -> int | None:
        if test_from is not None and info.data.get("kind") == "leave_one_out":
            raise ValueError("needs kind = 'temporal'")
        return test_from

    @field_validator("test_share")
    @classmethod
    def _leave_something_to_train_on(cls, test_share: float, info: ValidationInfo) -> float:
        if info.data.get("validation_share", 0) + test_share >= 1:
            raise ValueError("with validation_share, it leaves nothing to train on")
        return test_share
