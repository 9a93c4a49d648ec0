"""What is asked for and known, put to the model; what it finds, told and noted."""

import asyncio
import logging
import time
from collections.abc import Sequence
from secrets import token_hex
from sys import intern
from typing import Any

from fastapi import HTTPException

from service.catalogue.live_items import LiveItems
from service.catalogue.matching import UnknownAttributeError
from service.engine.batcher import GoneError
from service.events.asking import UnknownAnswerError, joined, seen_lately, shown_before
from service.events.record import Shown
from service.generation.generation import Generation
from service.generation.recommended import Recommended
from service.generation.recommender import Query, Recommendation
from service.http.after import wait_for
from service.http.caller import Caller
from service.http.filter_schema import filter_of
from service.http.json_route import fault
from service.http.problems import as_problem
from service.http.recommend_schemas import RecommendBatch, RecommendRequest
from service.http.state import State

log = logging.getLogger("bbqrec")
_OTHERS = 0.5  # seconds until what another process has shown is known here


async def answer(body: RecommendRequest, state: State, caller: Caller) -> dict[str, Any]:
    """Ask the model in service, within the deadline: a RecommendResponse, as plain data.

    Plain, for to build a model of our own data takes longer than to write its JSON. Raises
    HTTPException 504 past the deadline, RequestValidationError for a filter on what no item has.
    """
    body = state.scenarios.applied(body)
    query = await _query(body, state)
    async with state.lease(caller, body.user_id) as generation:
        await wait_for(caller.after, generation, state)
        started = asyncio.get_running_loop().time()
        deadline = started + state.settings.deadline
        try:
            async with asyncio.timeout_at(deadline):
                found = await generation.recommender.recommend(query, caller.gone, deadline)
        except UnknownAttributeError as error:
            places = [field for field, name in body.attributes() if name == error.name]
            raise fault(str(error), *_place(places[0], error.name)) from None
        except TimeoutError:
            detail = f"no answer within {state.settings.deadline:g} seconds"
            raise HTTPException(504, detail, {"retry-after": "1"}) from None
        shadow = state.registry.get("shadow")
        if shadow is not None and caller.role != "shadow":  # of itself it gives all
            state.shadow.compare(shadow, query, found, generation)
        if found.fallback is None:
            caller.tell(found.spent)
        items = as_items(generation.live.items, found.items, explain=body.explain)
        took = asyncio.get_running_loop().time() - started
        state.note(generation, found, took, plain=_plain(query))
        return {
            "items": items,
            "recommendation_id": _show(items, _odds(found), body, caller, generation, state),
            "model_version": generation.bundle.digest,
            "unknown_items": _sent(found.unknown_items, body),
            "fallback": found.fallback,
            "skipped": found.skipped,
        }


async def answer_each(body: RecommendBatch, state: State, caller: Caller) -> dict[str, Any]:
    """A BatchResponse, as plain data: each request is answered as it would be alone.

    Raises NotReadyError where nothing serves, GoneError where nobody waits for it.
    """
    async with state.lease(caller):
        answers = await asyncio.gather(
            *(_answer_or_problem(each, state, caller) for each in body.requests)
        )
    if (worst := max(each.get("status", 200) for each in answers)) >= 500:
        state.metrics.batch_failures.labels(str(worst)).inc()
    return {"answers": answers}


async def _answer_or_problem(
    body: RecommendRequest, state: State, caller: Caller
) -> dict[str, Any]:
    try:
        with caller.waiting():
            return await answer(body, state, caller)
    except GoneError:  # nobody reads the others either
        raise
    except Exception as error:  # whatever it is, the others are answered
        found = as_problem(error)
        if found.status == 500:
            log.exception("a request of a batch failed")
        return found.model_dump()


def _place(field: str, attribute: str) -> list[str]:
    return field.split(".") if field.endswith(".by") else [*field.split("."), attribute]


def _sent(unknown: list[str], body: RecommendRequest) -> list[str]:
    """Those of what was sent: of what a user did there is nothing to mend."""
    sent = {*body.history}
    return unknown if body.user_id is None else [i for i in unknown if i in sent]


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
        trend=state.events.feed.trend,
        groups=state.events.feed.groups,
        context=body.context,
        rules=body.rules(),
    )
    if body.rank is not None:
        query = _ranking(query, body)
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


def _plain(query: Query) -> bool:
    """Nothing keeps the best away, or moves its score."""
    return query.filter is None and query.allow is None and query.rules is None


def _ranking(query: Query, body: RecommendRequest) -> Query:
    """Of candidates alone, and of all of them, unless something else is said."""
    items = body.rank.items
    among = items if query.allow is None else [*{*items} & {*query.allow}]
    history = True if query.include_history is None else query.include_history
    k = body.k if "k" in body.model_fields_set else len(items)
    return query._replace(allow=among, include_history=history, k=k)


def _show(
    items: Sequence[dict[str, Any]],
    odds: list[float] | None,
    body: RecommendRequest,
    caller: Caller,
    generation: Generation,
    state: State,
) -> str:
    """Note what is about to be answered; its recommendation_id."""
    shown = Shown(
        recommendation_id=token_hex(12),
        user_id=body.user_id,
        item_ids=[intern(item["item_id"]) for item in items],
        time=time.time(),
        after=body.after,
        model=None if caller.role else generation.bundle.digest,
        caller=caller.name if body.user_id is None else None,
        odds=odds,
    )
    state.events.show(shown)
    return shown.recommendation_id


def _odds(found: Recommendation) -> list[float] | None:
    """Of each item to be where it is; None where they are not known of all."""
    odds = [item.odds for item in found.items if item.odds]
    return odds if odds and len(odds) == len(found.items) else None


def as_items(
    live: LiveItems, found: Sequence[Recommended], *, explain: bool
) -> list[dict[str, Any]]:
    """RecommendedItems; what is there only where it was asked for is there, be it null."""
    named = live.names([item.item_index for item in found])
    return [_told(item, *name, explain=explain) for item, name in zip(found, named, strict=True)]


def _told(item: Recommended, item_id: str, title: str | None, *, explain: bool) -> dict[str, Any]:
    told = {"item_id": item_id, "score": item.score, "title": title}
    if explain:
        told |= {"because": item.because, "reason": item.reason, "rules": [*item.rules]}
    if item.explored is not None:
        told["explored"] = item.explored
    return told
