"""HTTP shapes of recommendations: what is asked for, and the answer."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Annotated, Any, Self

from annotated_types import Le, MaxLen
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model, model_validator
from pydantic.fields import FieldInfo

from service.generation.recommended import Fallback, Why
from service.http.body import Body, Context, Id, ItemIds, UserId, WholeNumber
from service.http.filter_schema import MOST_VALUES, Conditions, absent
from service.http.rule_schemas import (
    Boosts,
    DiversifyIn,
    ExploreIn,
    Pins,
    RankIn,
    ScenarioName,
)
from service.http.schemas import Problem
from service.rules.rules import Rules
from service.settings import Settings


class RecommendRequest(Body):
    """A user history, and how to answer it. Unknown fields are refused."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"history": ["50", "172"], "k": 5, "explain": True},
                {"history": ["50", "no-such-item"], "exclude": ["181"]},
                {"history": []},
                {"user_id": "u-17", "exclude_seen": True},
                {"history": ["50"], "allow": ["172", "181"]},
            ],
            "required": [],
            "anyOf": [{"required": ["history"]}, {"required": ["user_id"]}],
        },
    )

    history: ItemIds = Field(
        description="item ids, oldest first; unknown ones are skipped, the model sees the latest; "
        "with a user_id it comes after what the user did, and may be absent",
    )
    user_id: UserId = Field(
        default_factory=absent,
        description="whose events, as POST /events was told, are the history; what they dislike is "
        "never returned",
    )
    k: WholeNumber = Field(10, ge=1, description="how many items")
    exclude: ItemIds = Field(default_factory=list, description="item ids that are never returned")
    allow: ItemIds = Field(
        default_factory=absent,
        description="item ids that alone may be returned; absent: all, an empty list: none",
    )
    filter: Conditions = Field(
        default_factory=absent,
        description="attributes that items must have, all of those named: a value, a list of which "
        "one is enough, or operators; a text that spells a number is in its range, too",
        examples=[{"category": ["shampoo", "soap"], "price": {"lt": 20}, "brand": {"not": "Acme"}}],
    )
    exclude_seen: bool = Field(
        False, strict=True, description="nothing that this user_id was shown lately"
    )
    after: Id = Field(
        default_factory=absent,
        description="a recommendation_id: the next page, without what it or a page before it had",
    )
    include_history: bool = Field(
        default_factory=absent,
        strict=True,
        description="may return items of the history; by default as the model was made to: "
        "`recommend` of /model",
    )
    explain: bool = Field(
        False,
        strict=True,
        description="name the item of the history nearest to each answer, and the rules that "
        "touched it",
    )
    context: Context = Field(
        default_factory=absent,
        description="what is known of whoever asks, as events have it in their `context`: where "
        "nothing in the history is known, what is used by those who have it in common",
        examples=[{"country": "DE", "device": "phone"}],
    )
    scenario: ScenarioName = Field(
        default_factory=absent,
        description="the operator's settings of that name; what the request itself says goes first",
    )
    boost: Boosts = Field(
        default_factory=list, description="an item has the factors of all that it meets"
    )
    pin: Pins = Field(
        default_factory=list, description="each item at its position of this answer, if within k"
    )
    diversify: DiversifyIn = Field(default_factory=absent, description="pins alone may break it")
    explore: ExploreIn = Field(default_factory=absent, description="the answer flags what it drew")
    rank: RankIn = Field(
        default_factory=absent,
        description="put these in order; k is their number, and the history is not left out, "
        "unless the request says otherwise",
    )

    @model_validator(mode="before")
    @classmethod
    def _history_or_user(cls, data: Any) -> Any:
        if isinstance(data, dict) and "user_id" in data and "history" not in data:
            return {**data, "history": []}
        return data

    def within(self, scenario: Self) -> Self:
        """This request, with what the scenario sets and it does not."""
        others = scenario.model_fields_set - self.model_fields_set
        return self.model_copy(update={name: getattr(scenario, name) for name in others})

    def filters(self) -> Iterator[tuple[str, Conditions]]:
        """Its filters, each after the field that holds it."""
        if self.filter is not None:
            yield "filter", self.filter
        for n, boost in enumerate(self.boost):
            if boost.filter is not None:
                yield f"boost.{n}.filter", boost.filter

    def attributes(self) -> Iterator[tuple[str, str]]:
        """Attributes of items that it goes by, each after the field that names it."""
        for field, conditions in self.filters():
            yield from ((field, name) for name in conditions)
        if self.diversify and self.diversify.by is not None:
            yield "diversify.by", self.diversify.by

    def rules(self) -> Rules | None:
        """Those of the shop, None where it has none."""
        if not (self.boost or self.pin or self.diversify or self.explore or self.rank):
            return None
        return Rules(
            boosts=[each.boost() for each in self.boost],
            pins={pin.position: pin.item_id for pin in self.pin},
            diversify=self.diversify.diversify() if self.diversify else None,
            explore=self.explore.explore() if self.explore else None,
            rank=self.rank.rank() if self.rank else None,
        )


class RecommendBatch(Body):
    """Several requests, answered together."""

    requests: Sequence[RecommendRequest]


def within_limits(settings: Settings) -> type[RecommendRequest]:
    """RecommendRequest as an operator limits it, so that the OpenAPI document says the same."""
    limits: dict[str, MaxLen | Le | AfterValidator] = {
        "history": MaxLen(settings.max_history),
        "k": Le(settings.max_k),
        "exclude": MaxLen(settings.max_exclude),
        "allow": MaxLen(settings.max_allow),
        "rank": AfterValidator(partial(_few, most=settings.max_allow)),
    }
    fields: dict[str, Any] = {
        name: _limited(RecommendRequest.model_fields[name], limit) for name, limit in limits.items()
    }
    made = create_model(
        "RecommendRequest", __base__=RecommendRequest, __doc__=RecommendRequest.__doc__, **fields
    )
    # A comma an id, and what stands around them; a filter's values may be numbers.
    ids = settings.max_history + settings.max_exclude + 2 * settings.max_allow
    made.most_json = ids + 2 * 30 * MOST_VALUES
    return made


def batch_within(limits: type[RecommendRequest], settings: Settings) -> type[RecommendBatch]:
    """RecommendBatch of such requests."""
    each = Annotated[list[limits], Field(min_length=1, max_length=settings.max_requests)]  # type: ignore[valid-type]
    made = create_model(
        "RecommendBatch", __base__=RecommendBatch, __doc__=RecommendBatch.__doc__, requests=each
    )
    made.most_json = 4 * limits.most_json
    return made


def _few(rank: RankIn, most: int) -> RankIn:
    if len(rank.items) > most:
        raise ValueError(f"should have at most {most} items")
    return rank


def _limited(field: FieldInfo, limit: MaxLen | Le | AfterValidator) -> Any:
    told = field.asdict()
    parts = told["annotation"], limit, *told["metadata"], Field(**told["attributes"])
    return Annotated[parts]


class RecommendedItem(BaseModel):
    """One recommended item."""

    item_id: str
    score: float = Field(description="higher is better; a count of uses where fallback is popular")
    title: str | None
    because: str | None = Field(None, description="with `explain`: an item id of the history")
    reason: Why | None = Field(
        None,
        description="with `explain`: after, it was often taken after that item; alike, both are "
        "described alike; history, it suits the whole history, and that item most",
    )
    rules: list[str] | None = Field(
        None,
        description="with `explain`: what touched it: boost 1 (the first), pin, diversify, explore",
    )
    explored: bool | None = Field(None, description="with `explore`: whether it was drawn")


class RecommendResponse(BaseModel):
    """The next items, best first."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "items": [
                        {"item_id": "181", "score": 9.1, "title": "Return of the Jedi"},
                    ],
                    "recommendation_id": "5f1d0a2b9c3e4f60718293a4",
                    "model_version": "2f0c5a",
                    "unknown_items": [],
                    "fallback": None,
                    "skipped": [],
                }
            ]
        }
    )

    items: list[RecommendedItem]
    recommendation_id: str = Field(description="for events that come of it, and its next page")
    model_version: str = Field(description="digest of the bundle that answered")
    unknown_items: list[str] = Field(description="ids of the history that nothing is known of")
    fallback: Fallback | None = Field(
        description="popular: nothing in the history is known, so these are the most used items; "
        "popular_in_context: by those who have what `context` says in common"
    )
    skipped: list[str] = Field(
        description="ids of pins and of `rank` that must not be in the answer: nothing is known of "
        "them, or `exclude`, `allow`, `filter`, the history or a dislike rules them out"
    )


class BatchResponse(BaseModel):
    """An answer to each request, in their order; one that fails harms no other."""

    answers: list[RecommendResponse | Problem]
