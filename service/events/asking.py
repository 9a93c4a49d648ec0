"""What is known of a user, put into what is asked for."""

import asyncio
import time
from collections.abc import Sequence

from service.events.feed import Feed
from service.events.users import User

_LOOK = 0.01  # seconds between looks for an answer that another process gave


class UnknownAnswerError(Exception):
    """No such answer is known, or no more."""


def joined(user: User | None, history: Sequence[str]) -> Sequence[str]:
    """What a user did, then what was sent along: an item of both is where it was sent."""
    if user is None or not user.items:
        return history
    sent = {*history}
    return [*(item for item in user.items if item not in sent), *history]


def seen_lately(user: User | None, hours: float) -> list[str]:
    """What a user was shown within so many hours."""
    if user is None:
        return []
    since = time.time() - 3600 * hours
    pages = user.shown.values()
    return [item for given, item_ids, _ in pages if given >= since for item in item_ids]


async def shown_before(feed: Feed, recommendation_id: str, patience: float) -> list[str]:
    """All of an answer and of the pages before it; waits for one that another process gave.

    Raises UnknownAnswerError.
    """
    until = time.monotonic() + patience
    while (page := feed.answers.get(recommendation_id)) is None:
        if time.monotonic() >= until:
            raise UnknownAnswerError("no such answer is known, or no more")
        await asyncio.sleep(_LOOK)
    found: list[str] = []
    while page is not None:
        _, item_ids, before = page
        found += item_ids
        page = feed.answers.get(before) if before is not None else None
    return found
