"""Thin handlers: translate HTTP to the use case and back."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from service.problems import LimitError
from service.recommender import Query, Recommender
from service.schemas import (
    Health,
    ModelResponse,
    Problem,
    RecommendedItem,
    RecommendRequest,
    RecommendResponse,
    over_limit,
)
from service.state import State

router = APIRouter()
_PROBLEM = {"model": Problem, "content": {"application/problem+json": {}}}
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    413: {**_PROBLEM, "description": "Body too large"},
    422: {**_PROBLEM, "description": "A field is missing, unknown or out of range"},
    503: {**_PROBLEM, "description": "No model is loaded"},
}


def state_of(request: Request) -> State:
    """What ``create_app`` wired."""
    state: State = request.app.state.service
    return state


CurrentState = Annotated[State, Depends(state_of)]


@router.post("/recommend", responses=_PROBLEMS, response_model_exclude_none=False)
async def recommend(body: RecommendRequest, state: CurrentState) -> RecommendResponse:
    """The next-item top-K for a user history.

    Unknown items are skipped and named. Where nothing in the history is known, popular items
    answer, and `fallback` says so. Items of the history and of `exclude` are never returned.
    """
    if fault := over_limit(body, state.settings):
        raise LimitError(fault)
    recommender = state.current()
    answer = await recommender.recommend(Query(**dict(body)))
    catalogue = recommender.bundle.catalogue
    return RecommendResponse(
        items=[
            RecommendedItem(
                item_id=catalogue[item.item_index].item_id,
                score=item.score,
                title=catalogue[item.item_index].title,
                because=item.because,
            )
            for item in answer.items
        ],
        model_version=recommender.bundle.digest,
        unknown_items=answer.unknown_items,
        fallback="popular" if answer.popular else None,
    )


@router.get("/livez")
async def livez() -> Health:
    """The process is up."""
    return Health(status="ok")


@router.get("/readyz", responses={503: {"model": Health}})
async def readyz(state: CurrentState, response: Response) -> Health:
    """Send traffic here. Does not depend on Redis: the service goes on without it."""
    status = state.status()
    response.status_code = 200 if status == "ok" else 503
    return Health(status=status)


@router.get("/metrics", response_class=Response)
async def metrics(state: CurrentState) -> Response:
    """Prometheus exposition."""
    return Response(state.metrics.exposition(), media_type=state.metrics.content_type)


@router.get("/model", responses={503: _PROBLEMS[503]})
async def model(state: CurrentState) -> ModelResponse:
    """What is being served, by what, and how good it was on the test part."""
    return describe(state.current())


def describe(recommender: Recommender) -> ModelResponse:
    """The manifest's main points and the active parts."""
    manifest = recommender.bundle.manifest
    return ModelResponse(
        name=manifest.name,
        model_version=recommender.bundle.digest,
        created_at=manifest.created_at,
        provider=recommender.provider,
        code_cache=recommender.cache.backend,
        catalogue_size=len(recommender.bundle.catalogue),
        architecture=manifest.architecture.model_dump(mode="json"),
        split=manifest.split,
        metrics=manifest.metrics,
        health=manifest.health,
    )
