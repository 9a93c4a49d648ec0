"""Items by their titles, while somebody types, or by their ids."""

import asyncio
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query

from service.generation.generation import Generation
from service.http.after import wait_for
from service.http.body import ItemId
from service.http.item_schemas import FoundItem, FoundItems
from service.http.pictures import places
from service.http.problems import documented
from service.http.routes import CurrentCaller, CurrentState

finding = APIRouter()
MOST_IDS = 100


@finding.get(
    "/items",
    responses=documented(
        {
            422: "A parameter is out of range",
            503: "The change of X-After is not applied here yet, or no model is loaded",
            504: "The answer took too long",
        }
    ),
)
async def find_items(
    state: CurrentState,
    caller: CurrentCaller,
    query: Annotated[
        str,
        Query(
            max_length=200,
            description="an item's id, or words that begin words of its title, in any order; else "
            "they are parts of it",
        ),
    ] = "",
    item_id: Annotated[
        list[ItemId] | None,
        Query(
            max_length=MOST_IDS, description="these items in place of a search; unknown: left out"
        ),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="how many a search finds")] = 20,
) -> FoundItems:
    """Items whose title has these words, most used first; without words the most used of all."""
    async with state.lease(caller) as generation:
        await wait_for(caller.after, generation, state)
        items = generation.live.items
        if item_id is None:
            rows = await _searched(generation, query, limit, state.settings.deadline)
        else:
            known = (items.row(each) for each in item_id)
            rows = [row for row in known if row is not None]
        told = await _told(generation, rows, state.settings.pictures)
        return FoundItems(items=told, model_version=generation.bundle.digest)


async def _searched(generation: Generation, query: str, limit: int, deadline: float) -> list[int]:
    """Rows. Raises HTTPException 504 where others' searches, or the first look, take too long."""
    try:
        async with asyncio.timeout(deadline):
            return await generation.titles.search(query, limit)
    except TimeoutError:
        detail = f"no answer within {deadline:g} seconds"
        raise HTTPException(504, detail, {"retry-after": "1"}) from None


async def _told(generation: Generation, rows: list[int], pictures: Path | None) -> list[FoundItem]:
    items = generation.live.items
    names = items.names(rows)
    shown = await places(generation, [item_id for item_id, _ in names], pictures)
    return [
        FoundItem(
            item_id=item_id,
            title=title,
            semantic_id=items.semantic_id(row),
            attributes=items.attributes(row),
            picture=picture,
        )
        for row, (item_id, title), picture in zip(rows, names, shown, strict=True)
    ]
