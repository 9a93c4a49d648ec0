"""The run configuration: one TOML file, one section per stage, unknown fields refused."""

import os
import re
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import ConfigDict, Field, ValidationError, model_validator

from models.contract.config import BlockKind, Edges, Frozen, Reweighting, Towers
from models.contract.types import BEHAVIOUR, IMAGE, MODALITY_NAME, TEXT, Modality, in_order
from training.errors import UserError

Format = Literal[
    "auto", "csv", "tsv", "jsonl", "parquet", "recbole", "movielens", "amazon", "sequences"
]
Share = Annotated[float, Field(ge=0, le=1)]
Section = TypeVar("Section", bound=Frozen)


class InteractionColumns(Frozen):
    """Names of the columns in the user's file; ``None`` means the usual names.

    Those are listed in ``training/data/columns.py``: user_id, item_id, timestamp, rating...
    """

    user: str | None = None
    item: str | None = None
    time: str | None = None
    rating: str | None = None


class InteractionsConfig(Frozen):
    """``[interactions]``: where the log is and how to read it."""

    path: Path
    format: Format = "auto"
    columns: InteractionColumns = InteractionColumns()
    separator: str | None = Field(None, description="for csv and tsv; default , or tab")
    time_format: str = Field(
        "auto", description="auto, seconds, milliseconds, iso8601, or a strptime pattern"
    )
    min_rating: float | None = Field(None, description="keep only interactions rated at least this")


class ItemColumns(Frozen):
    """Names of the columns in the user's item file; ``None`` means the usual names."""

    item: str | None = None
    title: str | None = None
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


class ItemsConfig(Frozen):
    """``[items]``: the catalogue's content. Optional: without it only behaviour is learned from."""

    path: Path
    format: Format = "auto"
    columns: ItemColumns = ItemColumns()
    separator: str | None = None
    image_template: str | None = Field(
        None, description='where pictures lie, such as "posters/{item_id}.jpg", relative to path'
    )
    keep_unseen: bool = Field(
        False, description="keep items that no kept interaction names: recommendable, never bought"
    )


class FilterConfig(Frozen):
    """``[filter]``: what is kept."""

    k_core: int = Field(5, ge=0, description="every user and item has at least this many; 0 = off")
    deduplicate: Literal["none", "consecutive", "all"] = Field(
        "none", description="a user's repeats of an item: keep, drop adjacent ones, keep the first"
    )
    max_history: int | None = Field(None, ge=3, description="keep a user's latest interactions")
    max_reject_share: Share = Field(0.01, description="more bad rows than this stop the run")


class SplitConfig(Frozen):
    """``[split]``: which interactions are trained on, validated on, tested on."""

    kind: Literal["leave_one_out", "temporal"] = "leave_one_out"
    validation_share: Share = Field(0.1, description="temporal: share of the time line's rows")
    test_share: Share = Field(0.1, description="temporal: share of the time line's rows")
    ties: Literal["file", "shuffle"] = Field(
        "file", description="order of a user's interactions of equal time: as read, or seeded"
    )


class ModalityConfig(Frozen):
    """``[encode.text]``, ``[encode.image]``, ``[encode.NAME]``: an encoder, or your own vectors."""

    encoder: str = Field(
        "default",
        description="default, none, or a sentence-transformers / CLIP model's name",
    )
    vectors: Path | None = Field(None, description="ready vectors: .npy, .safetensors or .parquet")
    ids: Path | None = Field(None, description="item ids of the rows of .npy, one a line")
    batch_size: int = Field(64, ge=1)


class WordsConfig(Frozen):
    """``[encode.words]``: which words of texts and attributes get a learned vector."""

    min_items: int = Field(2, ge=1, description="a word that fewer items have tells nothing")
    most: int = Field(100_000, ge=0, description="the commonest words only; 0 = no words")


class EncodeConfig(Frozen):
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


class QuantizeConfig(Frozen):
    """``[quantize]``: the quantizer (``docs/method.md`` section 2)."""

    levels: int = Field(4, ge=1, le=16)
    codebook_size: int = Field(256, ge=2, le=65_000)
    vector_size: int = Field(64, ge=2, le=1024)
    hidden_size: int = Field(256, ge=4)
    behaviour_size: int = Field(64, ge=2, description="size of behaviour vectors")
    epochs: int = Field(60, ge=1)
    batch_size: int = Field(512, ge=2)
    learning_rate: float = Field(1e-3, gt=0)
    commitment: float = Field(0.25, ge=0)
    mutual_information: float = Field(0.01, ge=0, description="weight of CLUB")
    contrast: float = Field(0.1, ge=0, description="weight of the contrastive codebook loss")
    sequence_contrast: float = Field(0.1, ge=0, description="weight of sequence-to-item contrast")
    diversity: float = Field(0.0, ge=0, description="weight of even use of the codes")
    temperature: float = Field(0.1, gt=0)
    shared_codebook: bool = Field(True, description="one for all modalities, or one each")
    id_residual: bool = Field(True, description="z_ID in the item vectors of sequence contrast")


class FitConfig(Frozen):
    """``[fit]``: the reweighted sequence model and its training."""

    width: int = Field(64, ge=4)
    blocks: int = Field(2, ge=1)
    heads: int = Field(2, ge=1)
    max_history: int = Field(50, ge=1)
    dropout: float = Field(0.2, ge=0, lt=1)
    id_dropout: float = Field(0.1, ge=0, lt=1, description="share of items whose z_ID is hidden")
    towers: Towers = Field(
        (("words", "id"), ("words", "codes", "id"), ("behaviour",)),
        description="what each sees of an item: codes, words, id; or behaviour (docs/method.md, 3)",
    )
    behaviour_weight: float = Field(
        1.0, gt=0, description="of the behaviour tower's score beside an attending tower's"
    )
    block: BlockKind = "ligr"
    reweighting: Reweighting = "additive"
    edges: Edges = "quantile"
    buckets: int = Field(32, ge=4)
    negatives: int = Field(
        1024, ge=0, description="shared, for sampled softmax; 0 or no fewer than items: all items"
    )
    mask_seen: bool = Field(
        False, description="what a user already had is no negative, as it is never recommended"
    )
    epochs: int = Field(100, ge=1)
    patience: int = Field(10, ge=1, description="epochs without a better validation NDCG@10")
    batch_tokens: int = Field(8192, ge=1, description="real positions a batch, about")
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    averaging: float = Field(
        0.998, ge=0, lt=1, description="what a step keeps of the moving average of weights; 0 = off"
    )
    borrowing: Annotated[tuple[Annotated[float, Field(ge=0)], ...], Field(min_length=1)] = Field(
        (0.0, 0.25, 0.5, 0.75, 1.0),
        description="shares that rare and new items may take of those they resemble: the best on "
        "validation is taken; (0.0,): none",
    )
    accelerator: Literal["auto", "cpu", "gpu"] = "cpu"
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    refit: bool = Field(True, description="export a model trained on everything, as one goes live")


class EvaluateConfig(Frozen):
    """``[evaluate]``: full ranking of the catalogue on the test part."""

    cutoffs: tuple[int, ...] = (5, 10, 20)
    filter_seen: bool = Field(True, description="never rank what is already in the history")
    validation_users: int = Field(20_000, ge=1, description="at most this many, seeded, per epoch")


class RunConfig(Frozen):
    """One run: from a log to a bundle. Paths are relative to the TOML file's folder."""

    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    output: Path
    seed: int = Field(42, ge=0)
    threads: int | None = Field(None, ge=1, description="CPU threads; default: all")
    loggers: tuple[str, ...] = Field(
        ("csv", "tensorboard"),
        description="training curves: csv, tensorboard, or the dotted name of a Lightning logger",
    )
    interactions: InteractionsConfig
    items: ItemsConfig | None = None
    filter: FilterConfig = FilterConfig()
    split: SplitConfig = SplitConfig()
    encode: EncodeConfig = EncodeConfig()
    quantize: QuantizeConfig = QuantizeConfig()
    fit: FitConfig = FitConfig()
    evaluate: EvaluateConfig = EvaluateConfig()

    @model_validator(mode="after")
    def _temporal_shares_leave_training(self) -> Self:
        if self.split.validation_share + self.split.test_share >= 1:
            raise ValueError("split.validation_share + split.test_share leave nothing to train on")
        return self

    @model_validator(mode="after")
    def _masked_items_are_filtered(self) -> Self:
        if self.fit.mask_seen and not self.evaluate.filter_seen:
            raise ValueError("fit.mask_seen needs evaluate.filter_seen: nothing else hides them")
        return self


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
    faults = [
        f"  {'.'.join(map(str, fault['loc'])) or 'run'}: {fault['msg']}" for fault in error.errors()
    ]
    return "\n".join([f"{path} is not a valid run configuration:", *faults])


def _resolve_paths(section: Section, base: Path) -> Section:
    """A copy in which every relative path starts at the TOML file's folder."""
    updates: dict[str, object] = {}
    for name, value in section:
        if isinstance(value, Path):
            updates[name] = Path(os.path.normpath(base / value))
        elif isinstance(value, Frozen):
            updates[name] = _resolve_paths(value, base)
    return section.model_copy(update=updates)
