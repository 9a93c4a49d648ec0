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
        json_schema_extra={"examples": [{"history": ["50", "172"], "k": 5, "explain": True}]},
    )

    history: list[ItemId] = Field(description="item ids, oldest first; unknown ones are skipped")
    k: int = Field(10, ge=1, strict=True, description="how many items to return")
    exclude: list[ItemId] = Field([], description="item ids that are never returned")
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


class ModelResponse(BaseModel):
    """What is being served."""

    name: str
    model_version: str
    created_at: str
    provider: str
    code_cache: str
    catalogue_size: int
    architecture: dict[str, Any]
    split: dict[str, Any]
    metrics: dict[str, float]
    health: dict[str, float]


class Health(BaseModel):
    """Answer of /livez and /readyz."""

    status: Literal["ok", "loading", "draining"]


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


def over_limit(body: RecommendRequest, settings: Settings) -> FieldError | None:
    """The first field that is larger than the operator allows."""
    sizes = {
        "history": (len(body.history), settings.max_history),
        "k": (body.k, settings.max_k),
        "exclude": (len(body.exclude), settings.max_exclude),
    }
    for name, (size, most) in sizes.items():
        if size > most:
            return FieldError(field=name, message=f"is {size}, the limit is {most}")
    return None
