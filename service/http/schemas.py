"""HTTP shapes of what the service says of itself."""

from typing import Any, Literal

from pydantic import (
    BaseModel,
    Field,
)

from models.contract.config import Recommend


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


class ScenariosState(BaseModel):
    """Named settings of recommendations."""

    names: list[str]
    fault: str | None = Field(description="why the file, as it is now, is not used")


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
    scenarios: ScenariosState
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
