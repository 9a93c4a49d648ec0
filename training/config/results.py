"""How what was learned is judged, and what of it goes into bundles."""

from typing import Annotated

from pydantic import Field, field_validator

from training.config.section import Section


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
