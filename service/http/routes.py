"""Thin handlers: translate HTTP to the use case and back."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response

from models.contract.bundle import CatalogueItem
from service.generation.recommender import Query, Recommended, Recommender
from service.http.json_route import JsonRoute
from service.http.schemas import (
    CodeCacheState,
    Health,
    ModelResponse,
    Problem,
    RecommendRequest,
    RecommendResponse,
    within_limits,
)
from service.http.state import NotReadyError, State
from service.settings import Settings

router = APIRouter()
_BODY: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": description}
    for status, description in {
        413: "The body is too large",
        422: "A field is missing, unknown or out of range",
        504: "The answer took too long",
    }.items()
}


async def state_of(request: Request) -> State:
    """What ``create_app`` wired. Async, or FastAPI would call it in a thread, for each request."""
    state: State = request.app.state.service
    return state


CurrentState = Annotated[State, Depends(state_of)]


def add_routes(app: FastAPI, settings: Settings) -> None:
    """Every endpoint. Those that take a body stand in front, and straight in the application:
    a router that is included costs a request a third as much again.
    """
    app.router.add_api_route(
        "/recommend",
        recommend_within(within_limits(settings)),
        methods=["POST"],
        route_class_override=JsonRoute,
        response_model=RecommendResponse,
        responses=_BODY,
    )
    app.include_router(router)


def recommend_within(limits: type[RecommendRequest]) -> Callable[..., Any]:
    """The endpoint of POST /recommend."""

    # The type is made of the settings: no checker can know it, and the document is made of it.
    async def recommend(body: limits, state: CurrentState) -> dict[str, Any]:  # type: ignore[valid-type]
        """The next-item top-K for a user history.

        Unknown items are skipped and named. Where nothing in the history is known, popular items
        answer, and `fallback` says so. Items of the history and of `exclude` are never returned.
        """
        return await answer(body, state)

    return recommend


async def answer(body: RecommendRequest, state: State) -> dict[str, Any]:
    """Ask the model in service, within the deadline: a RecommendResponse, as plain data.

    Plain, for to build a model of our own data takes longer than to write its JSON. Raises
    HTTPException 504 past the deadline.
    """
    recommender = state.current()
    try:
        async with asyncio.timeout(state.settings.deadline):
            found = await recommender.recommend(Query(**vars(body)))
    except TimeoutError:
        detail = f"no answer within {state.settings.deadline:g} seconds"
        raise HTTPException(504, detail, {"retry-after": "1"}) from None
    catalogue = recommender.bundle.catalogue
    return {
        "items": [as_item(catalogue[item.item_index], item, body.explain) for item in found.items],
        "model_version": recommender.bundle.digest,
        "unknown_items": found.unknown_items,
        "fallback": "popular" if found.popular else None,
    }


def as_item(item: CatalogueItem, found: Recommended, explain: bool) -> dict[str, Any]:
    """A RecommendedItem; ``because`` is there, be it null, only where it was asked for."""
    answered = {"item_id": item.item_id, "score": found.score, "title": item.title}
    return {**answered, "because": found.because} if explain else answered


@router.get("/livez")
async def livez() -> Health:
    """The process is up."""
    return Health(status="ok")


@router.get("/readyz")
async def readyz(state: CurrentState) -> Health:
    """Send traffic here. Does not depend on Redis: the service goes on without it."""
    if (status := state.status()) != "ok":
        raise NotReadyError(status)
    return Health(status="ok")


@router.get("/metrics", response_class=Response)
async def metrics(state: CurrentState) -> Response:
    """Prometheus exposition."""
    return Response(state.metrics.exposition(), media_type=state.metrics.content_type)


@router.get("/model")
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
        retriever=recommender.batcher.engine.retriever,
        code_cache=CodeCacheState(**recommender.cache.state()._asdict()),
        catalogue_size=len(recommender.bundle.catalogue),
        architecture=manifest.architecture.model_dump(mode="json"),
        split=manifest.split,
        metrics=manifest.metrics,
        health=manifest.health,
    )
