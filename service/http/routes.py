"""Thin handlers: translate HTTP to the use case and back."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from pydantic import BaseModel

from service.generation.generation import Generation
from service.generation.registry import NotReadyError
from service.http.caller import Caller, caller_of
from service.http.json_route import JsonRoute
from service.http.problems import documented
from service.http.recommend import answer, answer_each
from service.http.recommend_schemas import (
    BatchResponse,
    RecommendBatch,
    RecommendRequest,
    RecommendResponse,
    batch_within,
)
from service.http.schemas import (
    CodeCacheState,
    EventsState,
    Health,
    LiveState,
    ModelResponse,
    ScenariosState,
)
from service.http.state import State
from service.settings import Settings

router = APIRouter()
_BODY = documented(
    {
        413: "The body is too large",
        422: "A field is missing, unknown or out of range",
        504: "The answer took too long",
    }
)


async def state_of(request: Request) -> State:
    """What ``create_app`` wired. Async, or FastAPI would call it in a thread, for each request."""
    state: State = request.app.state.service
    return state


CurrentState = Annotated[State, Depends(state_of)]
CurrentCaller = Annotated[Caller, Depends(caller_of)]


def add_routes(app: FastAPI, settings: Settings, limits: type[RecommendRequest]) -> None:
    """Every endpoint. Those that take a body stand in front, and straight in the application:
    a router that is included costs a request a third as much again.
    """
    batch = batch_within(limits, settings)
    _add(app, "/recommend", recommend_within(limits), RecommendResponse)
    _add(app, "/recommend/batch", recommend_each_within(batch), BatchResponse)
    app.include_router(router)


def _add(app: FastAPI, path: str, endpoint: Callable[..., Any], answer: type[BaseModel]) -> None:
    app.router.add_api_route(
        path,
        endpoint,
        methods=["POST"],
        route_class_override=JsonRoute,
        response_model=answer,
        responses=_BODY,
    )


def recommend_within(limits: type[RecommendRequest]) -> Callable[..., Any]:
    """The endpoint of POST /recommend."""

    # The type is made of the settings: no checker can know it, and the document is made of it.
    async def recommend(
        body: limits,  # type: ignore[valid-type]
        state: CurrentState,
        caller: CurrentCaller,
    ) -> dict[str, Any]:
        """The next-item top-K for a user history.

        Unknown items are skipped and named. Where nothing in the history is known, popular items
        answer, and `fallback` says so. Items of `exclude` are never returned, nor any that `allow`
        and `filter` leave out, nor those of the history, unless the model was made to or
        `include_history` says so: `k` items come back wherever so many are left. A filter on an
        attribute that no item has is refused (422); a value that none has is not.
        """
        return await answer(body, state, caller)

    return recommend


def recommend_each_within(limits: type[RecommendBatch]) -> Callable[..., Any]:
    """The endpoint of POST /recommend/batch."""

    async def recommend_each(
        body: limits,  # type: ignore[valid-type]
        state: CurrentState,
        caller: CurrentCaller,
    ) -> dict[str, Any]:
        """Several requests, each answered as POST /recommend would, in their order.

        Where one cannot be answered, a problem is in its place. A body that is malformed anywhere
        is refused as a whole.
        """
        return await answer_each(body, state, caller)

    return recommend_each


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
    """What is being served, by what, and how good it was on the test part.

    `workers` tells of every process: which bundle it serves in which role, and why it does not
    serve the one that it should.
    """
    async with state.registry.lease() as generation:
        return describe(generation, state)


def describe(generation: Generation, state: State) -> ModelResponse:
    """The manifest's main points and the active parts."""
    manifest, engine = generation.bundle.manifest, generation.batcher.engine
    return ModelResponse(
        name=manifest.name,
        model_version=generation.bundle.digest,
        created_at=manifest.created_at,
        provider=engine.provider,
        retriever=engine.retriever,
        code_cache=_code_cache(generation),
        catalogue_size=len(generation.bundle.catalogue),
        live=_live(generation),
        events=_events(state),
        scenarios=_scenarios(state),
        architecture=manifest.architecture.model_dump(mode="json"),
        split=manifest.split,
        recommend=manifest.recommend,
        metrics=manifest.metrics,
        health=manifest.health,
        workers=state.workers(),
    )


def _code_cache(generation: Generation) -> CodeCacheState:
    shared = generation.live.taking.shared
    if shared is None:
        return CodeCacheState(backend="process", available=True)
    return CodeCacheState(backend="redis", available=shared.available)


def _events(state: State) -> EventsState:
    feed = state.events.feed
    counted = 0 if feed.transitions is None else len(feed.transitions)
    return EventsState(users=len(feed.users), position=feed.position, counted=counted)


def _scenarios(state: State) -> ScenariosState:
    return ScenariosState(names=sorted(state.scenarios.by_name), fault=state.scenarios.fault)


def _live(generation: Generation) -> LiveState:
    items, gone = generation.live.items.counts()
    refused = len(generation.live.items.refused)
    return LiveState(items=items, gone=gone, refused=refused, position=generation.live.position)
