"""``X-After: POSITION``: an answer that includes a change of items that another process applied."""

import asyncio

from fastapi import HTTPException

from service.generation.generation import Generation
from service.http.json_route import fault
from service.http.state import State

_DIGITS = 18


async def wait_for(after: str | None, generation: Generation, state: State) -> None:
    """Return once that change is applied.

    Raises HTTPException 503 where that takes too long, RequestValidationError for no position.
    """
    if after is None:
        return
    if not (after.isascii() and after.isdigit() and len(after) <= _DIGITS):
        raise fault("is no position that a write was answered with", "x-after")
    try:
        async with asyncio.timeout(state.settings.max_after):
            await generation.live.until(int(after))
    except TimeoutError:
        detail = f"change {after} is not applied here yet, only {generation.live.position}"
        raise HTTPException(503, detail, {"retry-after": "1"}) from None
