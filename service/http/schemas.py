"""HTTP shapes: what requests may hold and what answers look like."""

from itertools import islice
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Le, MaxLen
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    StringConstraints,
    create_model,
    model_validator,
)
from pydantic.fields import FieldInfo

from models.contract.config import Recommend
from service.generation.recommended import Why
from service.http.filter_schema import MOST_VALUES, Conditions, absent
from service.settings import Settings

MOST_FAULTS = 20  # a request may have thousands; the answer need not


def _whole(value: Any) -> Any:
    """374 for 374.0: JSON does not tell the two apart, nor do some of its writers."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


ItemId = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=256)]
UserId = ItemId
Id = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=128)]
ItemIds = Annotated[list[ItemId], FailFast()]  # one fault a list: each costs, and one is enough
WholeNumber = Annotated[int, Field(strict=True), BeforeValidator(_whole)]


class Body(BaseModel):
    """What a request holds. Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    most_json: ClassVar[int] = 10_000  # bytes outside of strings that a body may have

    @model_validator(mode="before")
    @classmethod
    def _few_fields(cls, data: Any) -> Any:
        """Of very many fields only some: a fault is built of each that is not known."""
        if not isinstance(data, dict) or len(data) <= MOST_FAULTS:
            return data
        names = *islice(data, MOST_FAULTS), *cls.model_fields
        return {name: data[name] for name in names if name in data}


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
        False, strict=True, description="name the item of the history nearest to each answer"
    )

    @model_validator(mode="before")
    @classmethod
    def _history_or_user(cls, data: Any) -> Any:
        if isinstance(data, dict) and "user_id" in data and "history" not in data:
            return {**data, "history": []}
        return data


def within_limits(settings: Settings) -> type[RecommendRequest]:
    """RecommendRequest as an operator limits it, so that the OpenAPI document says the same."""
    limits: dict[str, MaxLen | Le] = {
        "history": MaxLen(settings.max_history),
        "k": Le(settings.max_k),
        "exclude": MaxLen(settings.max_exclude),
        "allow": MaxLen(settings.max_allow),
    }
    fields: dict[str, Any] = {
        name: _limited(RecommendRequest.model_fields[name], limit) for name, limit in limits.items()
    }
    made = create_model(
        "RecommendRequest", __base__=RecommendRequest, __doc__=RecommendRequest.__doc__, **fields
    )
    # A comma an id, and what stands around them; a filter's values may be numbers.
    ids = settings.max_history + settings.max_exclude + settings.max_allow
    made.most_json = ids + 30 * MOST_VALUES
    return made


def _limited(field: FieldInfo, limit: MaxLen | Le) -> Any:
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
                }
            ]
        }
    )

    items: list[RecommendedItem]
    recommendation_id: str = Field(description="for events that come of it, and its next page")
    model_version: str = Field(description="digest of the bundle that answered")
    unknown_items: list[str] = Field(description="ids of the history that nothing is known of")
    fallback: Literal["popular"] | None = Field(
        description="popular: nothing in the history is known, so these are the most used items"
    )


class CodeCacheState(BaseModel):
    """Where codes of live items come from that another process encoded."""

    backend: Literal["process", "redis"]
    available: bool = Field(description="false: Redis fails, and the service goes on without it")


class LiveState(BaseModel):
    """What changes have made of the bundle's catalogue."""

    items: int = Field(description="put since the bundle was made, and not deleted")
    gone: int = Field(description="of the bundle, deleted or replaced by a live one")
    refused: int = Field(description="put, and not taken in by this bundle: the log says why")
    position: int = Field(description="of the last change that is applied")


class EventsState(BaseModel):
    """What users did, as this process knows it."""

    users: int = Field(description="whose histories are known")
    position: int = Field(description="of the last event that is applied")
    counted: int = Field(description="items whose followers are counted")


class WorkerState(BaseModel):
    """One process that serves."""

    pid: int
    serves: dict[str, str] = Field(description="role (current, canary, shadow) to digest")
    failures: dict[str, str] = Field(description="role to why what should serve in it does not")
    changed_on_disk: bool = Field(description="somebody wrote over files that are in service")


class Reloaded(BaseModel):
    """Answer of /admin/reload: this worker has looked, others may still be loading."""

    workers: list[WorkerState]


class ModelResponse(BaseModel):
    """What is being served."""

    name: str
    model_version: str = Field(description="digest of the bundle")
    created_at: str
    provider: str = Field(description="what computes user vectors")
    retriever: str = Field(description="how the best items are found: exact or compressed")
    code_cache: CodeCacheState
    catalogue_size: int
    live: LiveState
    events: EventsState
    architecture: dict[str, Any]
    split: dict[str, Any] = Field(description="how the data was split to measure the metrics")
    recommend: Recommend = Field(description="new: nothing of the history; all: that too")
    metrics: dict[str, float] = Field(description="on the test part, full ranking")
    health: dict[str, float] = Field(description="of the semantic IDs")
    workers: list[WorkerState]


class Health(BaseModel):
    """Answer of /livez and /readyz."""

    status: Literal["ok"]


class FieldError(BaseModel):
    """One fault of a request."""

    field: str
    message: str


class Problem(BaseModel):
    """RFC 9457 problem details, ``application/problem+json``."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []
