"""Events: what users do, kept and known in the next answer; and users, forgotten on request."""

import time
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Path, Request, Security

from service.events.record import Erased, Event, Merged
from service.events.users import DISLIKE
from service.http.body import UserId
from service.http.document import body_of
from service.http.event_schemas import (
    EventsRequest,
    EventsTaken,
    MergeRequest,
    UserChanged,
    UserState,
    events_within,
)
from service.http.json_route import check_json, read_body
from service.http.keys import EVENTS_KEY, check_write
from service.http.paths import USER
from service.http.problems import documented
from service.http.routes import CurrentState
from service.http.state import State
from service.log.log import LogError
from service.settings import Settings

_KEY = {401: "The key is missing or wrong", 403: "No key is set, and this is another machine"}
_WRITE = documented(
    _KEY
    | {
        413: "The body is too large",
        422: "A field is missing, unknown or out of range: none of the events is kept",
        503: "The log of events cannot be written",
    }
)
User = Annotated[UserId, Path(description="of the shop; it may hold slashes")]


async def _may_write(request: Request, state: CurrentState) -> None:
    """Raises HTTPException 401 or 403."""
    check_write(request, state.settings.events_key)


def add_events(app: FastAPI, settings: Settings) -> None:
    """Every endpoint of events and users."""
    router = APIRouter(dependencies=[Depends(_may_write), Security(EVENTS_KEY)], responses=_WRITE)
    limited = events_within(settings)

    @router.post("/events", openapi_extra=body_of(limited))
    async def events(request: Request, state: CurrentState) -> EventsTaken:
        """Say what users did. Once this answers it is on disk, and in their next recommendations.

        What was sent before, by `id` and `source`, changes nothing: send again what was not
        answered. Where a user's history stands in time, a late event finds its place.
        """
        check_json(request.scope)
        body: EventsRequest = read_body(limited, await request.body())
        return await _taken([event.event() for event in body.events], state)

    @router.get(f"/users/{USER}")
    async def user(user_id: User, state: CurrentState) -> UserState:
        """What is known of a user. Where nothing is, both lists are empty."""
        found = state.events.feed.users.get(user_id)
        history, disliked = (found.items, found.disliked) if found else ([], {})
        return UserState(user_id=user_id, history=history, disliked=[*disliked])

    @router.delete(f"/users/{USER}")
    async def erase(user_id: User, state: CurrentState) -> UserChanged:
        """Forget a user: at once in answers, and in files when events are next stored."""
        return await _changed(Erased(user_id, time.time()), state)

    @router.post(f"/users/{USER}/merge", openapi_extra=body_of(MergeRequest))
    async def merge(user_id: User, request: Request, state: CurrentState) -> UserChanged:
        """A guest was this user: what the guest did, the user did. The guest is no more."""
        check_json(request.scope)
        body = read_body(MergeRequest, await request.body())
        return await _changed(Merged(body.guest_id, user_id, time.time()), state)

    app.include_router(router)


async def _taken(events: list[Event], state: State) -> EventsTaken:
    try:
        kept = await state.events.take(events)
    except LogError as error:
        raise _unwritten(error) from None
    types = dict.fromkeys(event.type for event in events)
    used = {*state.settings.history_types, DISLIKE}
    return EventsTaken(
        kept=len(events) - len(kept.repeated),
        repeated=[event.id for event in kept.repeated],
        unknown_items=_unknown(events, state),
        unused_types=[type_ for type_ in types if type_ not in used],
        position=kept.position,
    )


def _unknown(events: list[Event], state: State) -> list[str]:
    """Items that the model in service does not know; without one, nobody can say."""
    current = state.registry.get("current")
    if current is None:
        return []
    items = dict.fromkeys(event.item_id for event in events)
    return [item_id for item_id in items if current.live.items.row(item_id) is None]


async def _changed(record: Erased | Merged, state: State) -> UserChanged:
    try:
        position = await state.events.change(record)
    except LogError as error:
        raise _unwritten(error) from None
    return UserChanged(user_id=record.user_id, position=position)


def _unwritten(error: LogError) -> HTTPException:
    return HTTPException(503, str(error), {"retry-after": "1"})
