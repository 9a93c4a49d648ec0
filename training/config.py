"""The run configuration: one TOML file, one section per stage, unknown fields refused.

Users set all but ``[research]``. What is invalid is refused when the file is read.
"""

import os
import re
import tomllib
from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from models.contract.config import Architecture, CodeShape, Frozen, Recommend, Variants
from models.contract.types import BEHAVIOUR, IMAGE, MODALITY_NAME, TEXT, Modality, in_order
from training.errors import UserError

Format = Literal[
    "auto", "csv", "tsv", "jsonl", "parquet", "recbole", "movielens", "amazon", "sequences"
]
Accelerator = Literal["auto", "cpu", "gpu"]
Share = Annotated[float, Field(ge=0, le=1)]
PartOf = Annotated[float, Field(gt=0, lt=1)]
Part = TypeVar("Part", bound=Frozen)


def _separates(separator: str) -> str:
    if {*separator} & {*'"\r\n'}:
        raise ValueError(f"{separator!r} has a quote or a line break in it")
    return separator


Separator = Annotated[str, AfterValidator(_separates)]


class Section(Frozen):
    """A table of the file. TOML knows inf and nan; no setting does."""

    model_config = ConfigDict(allow_inf_nan=False)


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


class ModalityConfig(Section):
    """``[encode.text]``, ``[encode.image]``, ``[encode.NAME]``: an encoder, or your own vectors."""

    encoder: str = Field(
        "default",
        description="default, none, or a sentence-transformers / CLIP model's name",
    )
    vectors: Path | None = Field(None, description="ready vectors: .npy, .safetensors or .parquet")
    ids: Path | None = Field(None, description="item ids of the rows of .npy, one a line")
    batch_size: int = Field(64, ge=1, description="items encoded at once")

    @model_validator(mode="after")
    def _vectors_have_ids(self) -> Self:
        ending = self.vectors.suffix if self.vectors else ".parquet"
        if ending not in (".npy", ".safetensors", ".parquet"):
            raise ValueError("vectors: they are read from .npy, .safetensors or .parquet")
        if ending != ".parquet" and self.ids is None:
            raise ValueError(f"ids: required, {ending} holds none: a file of an item id a line")
        return self


class WordsConfig(Section):
    """``[encode.words]``: which words of texts and attributes get a learned vector."""

    min_items: int = Field(2, ge=1, description="a word that fewer items have tells nothing")
    most: int = Field(100_000, ge=0, description="the commonest words only; 0 = no words")


class EncodeConfig(Section):
    """``[encode]``: content to vectors. A table of any other name adds a modality of that name."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, ModalityConfig]

    text: ModalityConfig = ModalityConfig()
    image: ModalityConfig = ModalityConfig()
    words: WordsConfig = WordsConfig()
    cache: Path | None = Field(None, description="default: <output>/../cache")

    def modalities(self) -> dict[Modality, ModalityConfig]:
        """How each modality is encoded, in the order of modalities."""
        asked = {TEXT: self.text, IMAGE: self.image, **self.__pydantic_extra__}
        return {modality: asked[modality] for modality in in_order(asked)}

    @model_validator(mode="after")
    def _other_modalities_are_named_and_have_vectors(self) -> Self:
        for name, asked in self.__pydantic_extra__.items():
            if name == BEHAVIOUR or not re.fullmatch(MODALITY_NAME, name):
                raise ValueError(
                    f"encode.{name}: no name for a modality; small letters, digits and _ make one "
                    f"(up to 32, a letter first), and {BEHAVIOUR} is learned from the log"
                )
            # Encoders are looked up by name, not imported: they build upon this module.
            if not asked.vectors and find_spec(f"training.encoders.kinds.{name}") is None:
                raise ValueError(f"encode.{name}.vectors: required, no encoder is called {name}")
        return self


class QuantizeConfig(Section, CodeShape):
    """``[quantize]``: the quantizer (``docs/method.md`` section 2)."""

    hidden_size: int = Field(256, ge=4, le=65_536, description="hidden units of its networks")
    behaviour_size: int = Field(64, ge=2, le=4096, description="size of behaviour vectors")
    epochs: int = Field(60, ge=1, description="passes over the items")
    batch_size: int = Field(512, ge=2, description="items of a step")
    learning_rate: float = Field(1e-3, gt=0, description="of Adam")
    commitment: float = Field(0.25, ge=0, description="weight that holds vectors to their codes")
    mutual_information: float = Field(0.01, ge=0, description="weight of CLUB")
    contrast: float = Field(0.1, ge=0, description="weight of the contrastive codebook loss")
    sequence_contrast: float = Field(0.1, ge=0, description="weight of sequence-to-item contrast")
    temperature: float = Field(0.1, gt=0, description="of both contrasts")
    accelerator: Accelerator = Field("cpu", description="what trains")


class FitConfig(Section, Architecture):
    """``[fit]``: the reweighted sequence model and its training."""

    reweighting: bool = Field(
        True, description="attention is reweighted by how similar items' codes are"
    )
    id_dropout: float = Field(0.1, ge=0, lt=1, description="share of items whose z_ID is hidden")
    negatives: int = Field(
        1024, ge=0, description="shared, for sampled softmax; 0 or no fewer than items: all items"
    )
    mask_seen: bool = Field(
        False, description="what a user already had is no negative, as it is never recommended"
    )
    epochs: int = Field(100, ge=1, description="passes over the histories, at most")
    patience: int = Field(10, ge=1, description="epochs without a better validation NDCG@10")
    batch_tokens: int = Field(8192, ge=1, description="real positions a batch, about")
    learning_rate: float = Field(1e-3, gt=0, description="of AdamW")
    weight_decay: float = Field(0.0, ge=0, description="of AdamW")
    rows_from: int = Field(
        100_000,
        ge=0,
        description="items; of a larger catalogue a step updates the rows alone that it touches",
    )
    averaging: float = Field(
        0.998, ge=0, lt=1, description="what a step keeps of the moving average of weights; 0 = off"
    )
    borrowing: Annotated[tuple[Annotated[float, Field(ge=0)], ...], Field(min_length=1)] = Field(
        (0.0, 0.25, 0.5, 0.75, 1.0),
        description="shares that rare and new items may take of those they resemble: the best on "
        "validation is taken; [0.0]: none, nor what words foretell of new ones",
    )
    memory: Annotated[tuple[Annotated[float, Field(ge=0)], ...], Field(min_length=1)] = Field(
        (0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0),
        description="weights that what was counted may have beside what is learned: the best on "
        "validation is taken; [0.0]: nothing is counted",
    )
    memory_items: int = Field(
        200, ge=1, le=10_000, description="at most so many followers of an item are remembered"
    )
    new_items_cost: Share = Field(
        0.02,
        description="share of NDCG@10 on known items that it may cost to show new ones as often as "
        "users take them",
    )
    accelerator: Accelerator = Field("cpu", description="what trains")
    precision: Literal["32-true", "bf16-mixed"] = Field(
        "32-true", description="float32, or bfloat16 where that is safe: faster, if the chip can"
    )
    compile: bool = Field(
        False, description="torch.compile what a step computes: fewer launches, minutes to begin"
    )
    refit: bool = Field(True, description="export a model trained on everything, as one goes live")
    learn_test: bool = Field(
        True,
        description="refit learns the test part, too; false: what goes live can be judged by it",
    )


class EvaluateConfig(Section):
    """``[evaluate]``: full ranking of the catalogue on the test part."""

    cutoffs: Annotated[
        tuple[Annotated[int, Field(ge=1, le=10_000)], ...], Field(min_length=1, max_length=100)
    ] = Field(
        (5, 10, 20),
        description="lengths of the lists that are judged; 10, by which models are compared, is "
        "always among them",
    )
    cold_share: float = Field(
        0.1,
        ge=0,
        lt=0.5,
        description="leave_one_out: share of the items that fit is not shown, so that they are new "
        "in validation, and as many in test; refit sees all",
    )
    validation_users: int = Field(20_000, ge=1, description="at most this many, seeded, per epoch")

    @field_validator("cutoffs")
    @classmethod
    def _each_once(cls, cutoffs: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(cutoffs)) < len(cutoffs):
            raise ValueError(f"{list(cutoffs)} names one twice")
        return cutoffs


class ExportConfig(Section):
    """``[export]``: the bundles of the output folder."""

    keep: int = Field(
        3, ge=1, description="newest bundles that stay, to go back to; those in service stay anyway"
    )
    activate: bool = Field(True, description="the new one is current; false: activate it yourself")
    index_from: int = Field(
        200_000,  # with fewer, a lone exact query takes less than 10 ms
        ge=0,
        description="items; a larger catalogue gets an index of 24 bytes an item",
    )
    samples: int = Field(
        0,
        ge=0,
        le=1000,
        description="users of the test part whose last ten items, and the next, go into the bundle "
        "for people to look at, without their ids; whoever reaches the page sees them",
    )


class ResearchConfig(Section, Variants):
    """``[research]``: what ablations take apart. No user needs it; nothing here pays."""

    reweighting: Literal["additive", "multiplicative"] = Field(
        "additive",
        description="similarity is added to attention, or scales it; fit.reweighting = false: "
        "neither",
    )
    shared_codebook: bool = Field(True, description="one for all modalities, or one each")
    id_residual: bool = Field(True, description="z_ID in the item vectors of sequence contrast")
    diversity: float = Field(0.0, ge=0, description="weight of even use of the codes")
    likeness: bool = Field(True, description="the memory knows who is described alike, too")


class RunConfig(Section):
    """One run: from a log to a bundle. Paths are relative to the TOML file's folder."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9._-]{1,64}$", description="of the model, as the service tells it"
    )
    output: Path = Field(description="folder that every stage writes into")
    recommend: Recommend = Field(
        "new",
        description="new: nothing that is in a history; all: that too, and buying again is learned",
    )
    seed: int = Field(42, ge=0, lt=2**32, description="of all that is drawn")
    threads: int | None = Field(None, ge=1, description="CPU threads; default: all")
    loggers: tuple[str, ...] = Field(
        ("csv", "tensorboard"),
        description="training curves: csv, tensorboard, or the dotted name of a Lightning logger",
    )
    interactions: InteractionsConfig
    events: dict[str, float] = Field(
        {},
        description="what each type of interaction weighs in training: purchase = 4, view = 1; 0 "
        "or less, as dislike = -1: what they had of that item is not learned; types not named are "
        "left out; none named: all are alike",
    )
    items: ItemsConfig | None = None
    filter: FilterConfig = FilterConfig()
    split: SplitConfig = SplitConfig()
    encode: EncodeConfig = EncodeConfig()
    quantize: QuantizeConfig = QuantizeConfig()
    fit: FitConfig = FitConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    export: ExportConfig = ExportConfig()
    research: ResearchConfig = ResearchConfig()

    @field_validator("loggers")
    @classmethod
    def _can_be_found(cls, loggers: tuple[str, ...]) -> tuple[str, ...]:
        for name in loggers:
            if name in ("csv", "tensorboard"):
                continue
            if not re.fullmatch(r"\w+(\.\w+)+", name):
                raise ValueError(f"{name!r} is neither csv nor tensorboard nor a dotted name")
            try:
                resolve_name(name)
            except (ImportError, AttributeError) as error:
                raise ValueError(f"{name!r} cannot be found: {error}") from error
        return loggers

    @model_validator(mode="after")
    def _masked_items_are_filtered(self) -> Self:
        if self.fit.mask_seen and not self.filter_seen:
            raise ValueError("fit.mask_seen needs recommend = 'new': nothing else hides them")
        return self

    @model_validator(mode="after")
    def _something_lists(self) -> Self:
        if self.filter.listed and self.items is None:
            raise ValueError("filter.listed needs [items]: the file that lists them")
        return self

    @model_validator(mode="after")
    def _types_weigh(self) -> Self:
        if self.interactions.stored is not None and not self.events:
            raise ValueError("interactions.stored needs [events]: what each type of them weighs")
        of_all = self.interactions.type
        if of_all is not None and of_all not in self.events:
            raise ValueError(f"interactions.type: {of_all!r} is not named in [events]")
        return self

    @property
    def filter_seen(self) -> bool:
        """Whether what is in a history is never ranked, nor learned as what comes next."""
        return self.recommend == "new"


def load(path: Path) -> RunConfig:
    """Read a run configuration. Raises UserError that names the file, the field and the fault."""
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid TOML: {error}") from error
    try:
        config = RunConfig.model_validate(fields)
    except ValidationError as error:
        raise UserError(_explain(path, error)) from error
    return _resolve_paths(config, path.resolve().parent)


def _explain(path: Path, error: ValidationError) -> str:
    lines = [f"{path} is not a valid run configuration:"]
    for fault in error.errors():
        field, said = ".".join(map(str, fault["loc"])), fault["msg"].removeprefix("Value error, ")
        lines.append(f"  {field}: {said}" if field else f"  {said}")
    return "\n".join(lines)


def _resolve_paths(section: Part, base: Path) -> Part:
    """A copy in which every relative path starts at the TOML file's folder."""
    updates: dict[str, object] = {}
    for name, value in section:
        if isinstance(value, Path):
            updates[name] = Path(os.path.normpath(base / value))
        elif isinstance(value, Frozen):
            updates[name] = _resolve_paths(value, base)
    return section.model_copy(update=updates)
