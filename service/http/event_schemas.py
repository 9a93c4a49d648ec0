"""HTTP shapes of events: what users did."""

import time
from datetime import datetime
from typing import Annotated, Any

from annotated_types import MaxLen
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    StringConstraints,
    WithJsonSchema,
    create_model,
)

from service.events.record import Event
from service.events.timely import AHEAD
from service.http.body import WHOLE, Body, Context, Id, ItemId, Number, UserId
from service.settings import Settings

_RECENT = 1e9  # seconds, in 2001: later ones times 1,000 are what JavaScript's Date.now() says
_NAME = r"^[a-z][a-z0-9_.-]{0,63}$"
_JSON_OF_EACH = 300  # bytes outside of strings


def _seconds(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    given = datetime.fromisoformat(value)
    if given.tzinfo is None:
        raise ValueError("has no offset: end it with Z, or +01:00")
    return given.timestamp()


def _not_ahead(seconds: float) -> float:
    latest = time.time() + AHEAD
    if seconds > latest:
        hint = ": in seconds, not milliseconds" if latest > seconds / 1000 > _RECENT else ""
        raise ValueError(f"lies in the future{hint}")
    return seconds


Time = Annotated[
    Number,
    Field(ge=0),
    BeforeValidator(_seconds),
    AfterValidator(_not_ahead),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "format": "date-time"}]}),
]


class EventIn(Body):
    """Somebody did something with an item. Unknown fields are refused."""

    id: Id = Field(description="the sender's; what comes again with this id and source is not kept")
    type: Annotated[str, StringConstraints(strict=True, pattern=_NAME)] = Field(
        description="view, click, cart, purchase, like, dislike, or the shop's own"
    )
    user_id: UserId
    item_id: ItemId
    time: Time | None = Field(
        None, description="seconds since 1970, or ISO 8601 with an offset; absent: now"
    )
    source: Annotated[str, StringConstraints(strict=True, max_length=64)] = Field(
        "", description="who sends it: ids are one sender's"
    )
    value: Number | None = Field(None, description="a price, a rating, seconds...")
    recommendation_id: Id | None = Field(None, description="the answer that led to it")
    position: Annotated[int, Field(strict=True, ge=1, le=2**31), WHOLE] | None = Field(
        None, description="where in that answer the item was, from 1"
    )
    context: Context | None = Field(
        None,
        description="whatever else is known: device, country, ...; what those use who have it in "
        "common is what a newcomer gets who has it, too",
    )

    def event(self) -> Event:
        """As the log keeps it."""
        told = vars(self) | {"time": time.time() if self.time is None else self.time}
        return Event(**told)


class EventsRequest(Body):
    """What users did, in any order: all of it is kept, or none."""

    events: list[EventIn] = Field(min_length=1)


def events_within(settings: Settings) -> type[EventsRequest]:
    """EventsRequest as an operator limits it."""
    most = settings.max_events
    field: Any = Annotated[list[EventIn], MaxLen(most), Field(min_length=1)]
    made = create_model(
        "EventsRequest", __base__=EventsRequest, __doc__=EventsRequest.__doc__, events=(field, ...)
    )
    made.most_json = 1_000 + _JSON_OF_EACH * most
    return made


class EventsTaken(BaseModel):
    """They are on disk, and in the next answer to these users."""

    kept: int
    repeated: list[str] = Field(description="ids that had been sent before, and changed nothing")
    unknown_items: list[str] = Field(
        description="item ids that nothing is known of: kept, and in no history until they are; "
        "none is named before a model is loaded"
    )
    unused_types: list[str] = Field(
        description="types that are no steps of a history: kept for whoever reads them"
    )
    position: int = Field(description="of the last one in the log of events")


class MergeRequest(Body):
    """A guest turns out to be a user."""

    guest_id: UserId


class UserState(BaseModel):
    """What is known of a user."""

    user_id: str
    history: list[str] = Field(description="item ids, oldest first")
    disliked: list[str]


class UserChanged(BaseModel):
    """It is done: here at once, in every other process as soon as it has read the log."""

    user_id: str
    position: int
