"""HTTP shapes of a shop's rules: boost, pin, diversify, explore, rank."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from service.http.body import WHOLE, Body, ItemId, ItemIds
from service.http.filter_schema import MOST_VALUES, Conditions, absent, filter_of, values_in
from service.http.item_schemas import Name
from service.rules.rules import Boost, Diversify, Explore, Rank

MOST_BOOSTS = 4  # each doubles the parts that a search is made in
_MOST_PINS = 100
_MOST_IDS = 1_000  # of a boost
_DAY = 86_400.0
Share = Annotated[float, Field(strict=True, gt=0, le=1, allow_inf_nan=False)]


class BoostIn(Body):
    """Some items count more, or less, or have a share of the answer."""

    filter: Conditions = Field(
        default_factory=absent, description="of items with these attributes, as `filter`"
    )
    items: Annotated[ItemIds, Field(max_length=_MOST_IDS)] = Field(
        default_factory=absent, description="of these items; with a filter: of those that meet it"
    )
    factor: Annotated[float, Field(strict=True, ge=0.001, le=1_000)] = Field(
        1.0, description="so many times as likely; below 1: less likely"
    )
    share: Share = Field(
        default_factory=absent,
        description="of the answer, from its top on and rounded, as far as there are any; they are "
        "moved up only where the best of all do not hold it",
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.filter and self.items is None:
            raise ValueError("should name a filter or items")
        if self.share is None and self.factor == 1:
            raise ValueError("should have a factor other than 1, or a share")
        return self

    def boost(self) -> Boost:
        """As the service takes it."""
        return Boost(filter_of(self.filter), self.items, self.factor, self.share or 0.0)


class PinIn(Body):
    """One item in a place of its own, if it may be in the answer at all."""

    item_id: ItemId
    position: Annotated[int, Field(strict=True, ge=1, le=10_000), WHOLE] = Field(
        description="from 1"
    )


class DiversifyIn(Body):
    """Not all the same."""

    by: Name = Field(default_factory=absent, description="an attribute, such as a brand")
    at_most: Annotated[int, Field(strict=True, ge=1), WHOLE] = Field(
        1, description="items of one value of it; items that have none are not counted"
    )
    strength: Annotated[float, Field(strict=True, ge=0, le=1)] = Field(
        0.0, description="how much it counts that an item is unlike those before it"
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.by is None and not self.strength:
            raise ValueError("should name an attribute (by), or a strength")
        return self

    def diversify(self) -> Diversify:
        """As the service takes it."""
        return Diversify(self.by, self.at_most, self.strength)


class ExploreIn(Body):
    """Some slots are for new items, to learn what they are worth."""

    share: Share = Field(description="of the slots")
    max_age_days: Annotated[float, Field(strict=True, gt=0, le=36_500)] = Field(
        30.0,
        description="since an item was put or first used; one that nobody used is new at any age",
    )
    by: Literal["random", "uncertainty"] = Field(
        "random",
        description="how they are drawn from the 100 new ones that suit the history best: each "
        "alike, or the likelier the less it was used",
    )

    def explore(self) -> Explore:
        """As the service takes it."""
        return Explore(self.share, _DAY * self.max_age_days, self.by)


class RankIn(Body):
    """Candidates of the caller's, and no others."""

    items: ItemIds = Field(min_length=1, description="all that may be returned come back")
    in_order: bool = Field(
        False,
        strict=True,
        description="they are sent best first, which counts as much as what the model says",
    )

    def rank(self) -> Rank:
        """As the service takes it."""
        return Rank(self.items, self.in_order)


def _few(boosts: list[BoostIn]) -> list[BoostIn]:
    if sum(values_in(boost.filter or {}) for boost in boosts) > MOST_VALUES:
        raise ValueError(f"their filters should have at most {MOST_VALUES} values in all")
    return boosts


def _apart(pins: list[PinIn]) -> list[PinIn]:
    for name in ("item_id", "position"):
        values: list[Any] = [getattr(pin, name) for pin in pins]
        if len({*values}) < len(values):
            raise ValueError(f"two have the same {name}")
    return pins


Boosts = Annotated[list[BoostIn], Field(max_length=MOST_BOOSTS), AfterValidator(_few)]
Pins = Annotated[list[PinIn], Field(max_length=_MOST_PINS), AfterValidator(_apart)]
ScenarioName = Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
