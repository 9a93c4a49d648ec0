"""Frozen architecture configs. They travel inside the bundle, so unknown fields are refused."""

from typing import Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from models.contract.types import Modality, in_order

Reweighting = Literal["additive", "multiplicative", "off"]
Edges = Literal["quantile", "affine", "random"]
BlockKind = Literal["ligr", "sasrec"]
Source = Literal["codes", "words", "id", "behaviour"]
Recommend = Literal["new", "all"]
Towers = tuple[tuple[Source, ...], ...]


class Frozen(BaseModel):
    """Base of every config: immutable, unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class CodeShape(Frozen):
    """What the user chooses of semantic IDs. ``[quantize]`` and the bundle's space contain it."""

    levels: int = Field(4, ge=1, le=16, description="L, codes of one modality of one item")
    codebook_size: int = Field(
        256, ge=2, le=65_000, description="K, codes of a level; fewer where there are fewer vectors"
    )
    vector_size: int = Field(64, ge=2, le=1024, description="Q, size of a quantized vector")


class CodeSpace(CodeShape):
    """The space that semantic IDs live in; fixed once the quantizer is trained."""

    modalities: tuple[Modality, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _modalities_are_in_order(self) -> "CodeSpace":
        if self.modalities != in_order(set(self.modalities)):
            raise ValueError(f"modalities {self.modalities}: one is repeated, or out of order")
        return self

    @property
    def slots(self) -> int:
        """S, codes in one semantic ID."""
        return len(self.modalities) * self.levels

    @property
    def null_code(self) -> int:
        """The code of a missing modality."""
        return self.codebook_size


class Architecture(Frozen):
    """What the user chooses of the sequence model. ``[fit]`` and the bundle contain it."""

    model_config = ConfigDict(allow_inf_nan=False)

    max_history: int = Field(50, ge=1, le=4096, description="latest items that the model reads")
    width: int = Field(64, ge=4, le=2048, description="size of a tower's vectors")
    blocks: int = Field(2, ge=1, le=64, description="attention blocks of a tower")
    heads: int = Field(
        2, ge=1, le=64, description="attention heads; must divide width", validate_default=True
    )
    dropout: float = Field(0.2, ge=0, lt=1, description="share of activations dropped in training")
    towers: Towers = Field(
        (("words", "id"), ("words", "codes", "id"), ("words", "behaviour")),
        min_length=1,
        max_length=16,
        description="what each tower sees of an item, summed: codes, words, id; or behaviour, "
        "with or without words. Their scores add up (docs/method.md, 3)",
    )
    behaviour_weight: float = Field(
        1.0, gt=0, description="of the behaviour tower's score beside an attending tower's"
    )
    buckets: int = Field(32, ge=4, le=256, description="similarities that attention tells apart")

    @field_validator("heads")
    @classmethod
    def _divide_width(cls, heads: int, info: ValidationInfo) -> int:
        width = info.data.get("width", heads)  # absent where it is itself at fault
        if width % heads:
            raise ValueError(f"width {width} is not a multiple of {heads} heads")
        return heads

    @field_validator("towers")
    @classmethod
    def _see_something_once(cls, towers: Towers) -> Towers:
        for tower in towers:
            if not tower or len(set(tower)) < len(tower):
                raise ValueError(f"{list(tower)} is empty, or names a source twice")
            if "behaviour" in tower and not {"behaviour", "words"}.issuperset(tower):
                raise ValueError(f"{list(tower)}: a tower of behaviour sees words beside, no more")
        return towers


class Variants(Frozen):
    """Forms of the sequence model that only ablations compare. ``[research]`` contains it."""

    block: BlockKind = Field("ligr", description="LiGR with SwiGLU (eSASRec), or SASRec's own")
    edges: Edges = Field(
        "quantile",
        description="of similarity buckets: evenly filled, learned (affine), or random, the "
        "control that knows nothing",
    )


class SequenceConfig(Architecture, Variants):
    """The reweighted sequence model, weights aside."""

    code_space: CodeSpace
    catalogue_size: int = Field(ge=1)
    reweighting: Reweighting = "additive"

    @property
    def vector_size(self) -> int:
        """D, the size of item and user vectors: the towers' vectors one after another."""
        return self.width * len(self.towers)
