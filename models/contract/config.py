"""Frozen architecture configs. They travel inside the bundle, so unknown fields are refused."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.contract.types import Modality, in_order

Reweighting = Literal["additive", "multiplicative", "off"]
Edges = Literal["quantile", "affine", "random"]
BlockKind = Literal["ligr", "sasrec"]
Source = Literal["codes", "words", "id", "behaviour"]
Towers = tuple[tuple[Source, ...], ...]


class Frozen(BaseModel):
    """Base of every config: immutable, unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class CodeSpace(Frozen):
    """The space that semantic IDs live in; fixed once the quantizer is trained."""

    modalities: tuple[Modality, ...] = Field(min_length=1)
    levels: int = Field(ge=1, le=16)
    codebook_size: int = Field(ge=2, le=65_000)
    vector_size: int = Field(ge=2, le=1024, description="Q, size of a quantized vector")

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


class SequenceConfig(Frozen):
    """The reweighted sequence model, weights aside."""

    code_space: CodeSpace
    catalogue_size: int = Field(ge=1)
    max_history: int = Field(ge=1, le=4096)
    width: int = Field(64, ge=4, le=2048)
    blocks: int = Field(2, ge=1, le=64)
    heads: int = Field(2, ge=1, le=64)
    dropout: float = Field(0.2, ge=0, lt=1)
    towers: Towers = Field(
        (("words", "id"), ("words", "codes", "id"), ("behaviour",)),
        min_length=1,
        description="what each tower sees of an item, as a sum of vectors; towers' scores add up",
    )
    behaviour_weight: float = Field(
        1.0, gt=0, description="of the behaviour tower's score beside an attending tower's"
    )
    block: BlockKind = Field("ligr", description="LiGR with SwiGLU (eSASRec), or SASRec's own")
    reweighting: Reweighting = "additive"
    edges: Edges = Field("quantile", description="random is the control that knows nothing")
    buckets: int = Field(32, ge=4, le=256)

    @property
    def vector_size(self) -> int:
        """D, the size of item and user vectors: the towers' vectors one after another."""
        return self.width * len(self.towers)

    @model_validator(mode="after")
    def _towers_see_something_once(self) -> "SequenceConfig":
        for tower in self.towers:
            if not tower or len(set(tower)) < len(tower):
                raise ValueError(f"towers {self.towers}: one is empty, or names a source twice")
            if "behaviour" in tower and len(tower) > 1:
                raise ValueError(f"towers {self.towers}: behaviour is a tower of its own")
        return self

    @model_validator(mode="after")
    def _heads_divide_width(self) -> "SequenceConfig":
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self
