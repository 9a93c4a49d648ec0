"""HTTP shapes of experiments: variants side by side."""

from typing import Literal

from pydantic import BaseModel, Field

from service.experiments.intervals import LEVEL


class Between(BaseModel):
    """An estimate and its interval, which holds however often one looks."""

    estimate: float
    low: float
    high: float


class Metrics(BaseModel):
    """Of callers observed to the end; null where of fewer than 200 it is not 0.

    All intervals of a trial together hold with 95%, at every look.
    """

    click_through: Between | None = Field(description="answers of which an item was clicked")
    conversion: Between | None = Field(description="callers who converted")
    value: Between | None = Field(description="of conversions, a caller")


class Coverage(BaseModel):
    """How much of the catalogue was shown."""

    items: int = Field(description="different ones; beyond 4096 an estimate, some 2% off")
    items_alike: float = Field(
        description="expected in as many slots as the variant had that showed least: to compare"
    )


class VariantState(BaseModel):
    """One bundle, and what came of its answers."""

    role: Literal["current", "canary"]
    model_version: str = Field(description="digest of the bundle")
    name: str | None = Field(description="null where it serves no more")
    share: float = Field(description="of the callers, that it is meant to get")
    answers: int
    items: int = Field(description="slots of all these answers")
    clicks: int = Field(description="answers of which at least one item was clicked")
    conversions: int
    value: float | None = Field(description="of these conversions")
    callers: int = Field(description="that it was given")
    observed: int = Field(description="of them, observed to the end: what metrics are made of")
    coverage: Coverage
    metrics: Metrics


class Difference(BaseModel):
    """The canary's metric less the current's."""

    metric: Literal["click_through", "conversion", "value"]
    decided: bool = Field(description="once it is, it stays")
    says: str = Field(examples=["undecided: with 95% certainty the difference may be of either"])
    difference: Between | None
    relative: float | None = Field(description="of the current's")


class SplitState(BaseModel):
    """Whether callers went where they were meant to."""

    canary_share: float | None = Field(description="of the callers that have come")
    chance: float | None = Field(
        description="of a split like this one, or farther off, by a chi-squared test; below 0.001 "
        "the comparison is not to be trusted"
    )
    says: str


class TrialState(BaseModel):
    """Variants beside each other since callers are split as they are."""

    since: float = Field(description="seconds since 1970")
    until: float | None
    variants: list[VariantState]
    differences: list[Difference] = Field(description="none without a canary")
    split: SplitState | None


class PassedState(BaseModel):
    """What counts nowhere, in the trial that runs."""

    unknown: int = Field(
        description="events with a `recommendation_id` that is not known, or did not show the item"
    )
    elsewhere: int = Field(
        description="events without one, of items that the user was not shown: no answer's merit"
    )
    late: int = Field(description="events after the window, or that came too late for intervals")
    crossed: int = Field(description="answers to callers for whom the other variant is observed")
    unobserved: int = Field(description="answers to callers who were too many at a time")


class ExperimentsState(BaseModel):
    """What came of what was shown."""

    hours: float = Field(description="a click or a purchase counts for so long after")
    level: float = Field(LEVEL, description="of intervals: all of a trial together, at every look")
    known_hours: float | None = Field(
        description="how far back answers are known that an event may name: the latest 65,536"
    )
    trial: TrialState | None = Field(
        description="null until the first answer of a process that serves all that the links name"
    )
    passed: PassedState
    ended: list[TrialState] = Field(description="the latest five that had a canary, oldest first")
