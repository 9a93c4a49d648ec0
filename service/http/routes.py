"""Thin handlers: translate HTTP to the use case and back."""

import asyncio
import time
from collections.abc import Callable, Sequence
from secrets import token_hex
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response

from service.catalogue.live_items import LiveItems
from service.catalogue.matching import UnknownAttributeError
from service.events.asking import UnknownAnswerError, joined, seen_lately, shown_before
from service.events.record import Shown
from service.generation.generation import Generation
from service.generation.recommended import Recommended
from service.generation.recommender import Query
from service.generation.registry import NotReadyError
from service.http.after import wait_for
from service.http.caller import Caller, caller_of
from service.http.filter_schema import filter_of
from service.http.json_route import JsonRoute, fault
from service.http.problems import documented
from service.http.schemas import (
    CodeCacheState,
    EventsState,
    Health,
    LiveState,
    ModelResponse,
    RecommendRequest,
    RecommendResponse,
    within_limits,
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


_OTHERS = 0.5  # seconds until what another process has shown is known here

CurrentState = Annotated[State, Depends(state_of)]
CurrentCaller = Annotated[Caller, Depends(caller_of)]


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


async def answer(body: RecommendRequest, state: State, caller: Caller) -> dict[str, Any]:
    """Ask the model in service, within the deadline: a RecommendResponse, as plain data.

    Plain, for to build a model of our own data takes longer than to write its JSON. Raises
    HTTPException 504 past the deadline, RequestValidationError for a filter on what no item has.
    """
    query = await _query(body, state)
    async with state.registry.lease(caller.key or body.user_id) as generation:
        await wait_for(caller.after, generation, state)
        started = asyncio.get_running_loop().time()
        deadline = started + state.settings.deadline
        try:
            async with asyncio.timeout_at(deadline):
                found = await generation.recommender.recommend(query, caller.gone, deadline)
        except UnknownAttributeError as error:
            raise fault(str(error), "filter", error.name) from None
        except TimeoutError:
            detail = f"no answer within {state.settings.deadline:g} seconds"
            raise HTTPException(504, detail, {"retry-after": "1"}) from None
        if (shadow := state.registry.get("shadow")) is not None:
            state.shadow.compare(shadow, query, found, generation)
        items = as_items(generation.live.items, found.items, explain=body.explain)
        took = asyncio.get_running_loop().time() - started
        state.note(generation, found, took, plain=query.filter is None and query.allow is None)
        return {
            "items": items,
            "recommendation_id": _show(items, body, generation, state),
            "model_version": generation.bundle.digest,
            "unknown_items": _sent(found.unknown_items, body),
            "fallback": "popular" if found.popular else None,
        }


def _sent(unknown: list[str], body: RecommendRequest) -> list[str]:
    """Those of what was sent: of what a user did there is nothing to mend."""
    return unknown if body.user_id is None else [i for i in unknown if i in {*body.history}]


async def _query(body: RecommendRequest, state: State) -> Query:
    """With what is known of the user. Raises RequestValidationError for an answer unknown."""
    query = Query(
        history=body.history,
        k=body.k,
        exclude=body.exclude,
        include_history=body.include_history,
        explain=body.explain,
        allow=body.allow,
        filter=filter_of(body.filter),
        transitions=state.events.feed.transitions,
    )
    if body.user_id is None and body.after is None:
        return query
    user = state.events.feed.users.get(body.user_id) if body.user_id is not None else None
    hidden = [*body.exclude, *(user.disliked if user else ())]
    if body.exclude_seen:
        hidden += seen_lately(user, state.settings.seen_hours)
    if body.after is not None:
        try:
            hidden += await shown_before(state.events.feed, body.after, _OTHERS)
        except UnknownAnswerError as error:
            raise fault(str(error), "after") from None
    return query._replace(history=joined(user, query.history), exclude=hidden)


def _show(
    items: Sequence[dict[str, Any]], body: RecommendRequest, generation: Generation, state: State
) -> str:
    """Note what is about to be answered; its recommendation_id."""
    shown = Shown(
        recommendation_id=token_hex(12),
        user_id=body.user_id,
        item_ids=[item["item_id"] for item in items],
        time=time.time(),
        after=body.after,
        model=generation.bundle.digest,
    )
    state.events.show(shown)
    return shown.recommendation_id


def as_items(
    live: LiveItems, found: Sequence[Recommended], *, explain: bool
) -> list[dict[str, Any]]:
    """RecommendedItems; ``because`` and ``reason`` are there, be they null, where asked for."""
    named = zip(live.names([item.item_index for item in found]), found, strict=True)
    items = [{"item_id": id_, "score": item.score, "title": title} for (id_, title), item in named]
    if explain:
        told = ({"because": item.because, "reason": item.reason} for item in found)
        items = [{**item, **reason} for item, reason in zip(items, told, strict=True)]
    return items


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


def _live(generation: Generation) -> LiveState:
    items, gone = generation.live.items.counts()
    refused = len(generation.live.items.refused)
    return LiveState(items=items, gone=gone, refused=refused, position=generation.live.position)
