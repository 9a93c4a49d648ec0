"""HTTP shapes: what requests may hold and what answers look like."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from service.settings import Settings

ItemId = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=256)]


class RecommendRequest(BaseModel):
    """A user history, and how to answer it. Unknown fields are refused."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {"history": ["50", "172"], "k": 5, "explain": True},
                {"history": ["50", "no-such-item"], "exclude": ["181"]},
                {"history": []},
            ]
        },
    )

    history: list[ItemId] = Field(
        description="item ids, oldest first; unknown ones are skipped, the model sees the latest"
    )
    k: int = Field(10, ge=1, strict=True, description="how many items; 500 at most unless set")
    exclude: list[ItemId] = Field(
        default_factory=list, description="item ids that are never returned"
    )
    include_history: bool = Field(False, strict=True, description="may return items of the history")
    explain: bool = Field(
        False, strict=True, description="name the item of the history nearest to each answer"
    )


class RecommendedItem(BaseModel):
    """One recommended item."""

    item_id: str
    score: float = Field(description="higher is better; a count of uses where fallback is popular")
    title: str | None
    because: str | None = Field(None, description="with `explain`: an item id of the history")


class RecommendResponse(BaseModel):
    """The next items, best first."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "items": [
                        {"item_id": "181", "score": 9.1, "title": "Return of the Jedi"},
                    ],
                    "model_version": "2f0c5a",
                    "unknown_items": [],
                    "fallback": None,
                }
            ]
        }
    )

    items: list[RecommendedItem]
    model_version: str = Field(description="digest of the bundle that answered")
    unknown_items: list[str] = Field(description="ids of the history that nothing is known of")
    fallback: Literal["popular"] | None = Field(
        description="popular: nothing in the history is known, so these are the most used items"
    )


class CodeCacheState(BaseModel):
    """Where item codes come from."""

    backend: Literal["process", "redis"]
    available: bool = Field(description="false: Redis fails, and the service goes on without it")
    published: bool = Field(description="the bundle's codes are in Redis")


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
    architecture: dict[str, Any]
    split: dict[str, Any] = Field(description="how the data was split to measure the metrics")
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


class LimitError(Exception):
    """A well-formed request that asks for more than the operator allows."""

    def __init__(self, field: str, size: int, most: int) -> None:
        message = f"is {size}, the limit is {most}"
        super().__init__(f"{field} {message}")
        self.fault = FieldError(field=field, message=message)


def check_limits(body: RecommendRequest, settings: Settings) -> None:
    """Raise LimitError for the first field that is larger than the operator allows."""
    for field, size, most in (
        ("history", len(body.history), settings.max_history),
        ("k", body.k, settings.max_k),
        ("exclude", len(body.exclude), settings.max_exclude),
    ):
        if size > most:
            raise LimitError(field, size, most)
