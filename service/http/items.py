"""Items: put, patched, deleted and looked at while the service runs."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request, Security
from starlette.types import Scope

from models.contract.intake import IntakeAwayError, IntakeError
from service.catalogue.change import Change
from service.generation.generation import Generation
from service.generation.similar import By, Near
from service.generation.writer import (
    NotAppliedError,
    Result,
    StaleError,
    UnknownItemError,
    Written,
)
from service.http.after import wait_for
from service.http.body import ItemId
from service.http.document import body_of
from service.http.item_schemas import (
    ItemState,
    ItemWritten,
    NearItem,
    PatchItem,
    PutItem,
    SimilarItems,
)
from service.http.json_route import check_json, fault, read_body
from service.http.keys import ITEMS_KEY, check_write
from service.http.paths import ITEM
from service.http.problems import documented
from service.http.routes import CurrentCaller, CurrentState
from service.http.state import State
from service.log.log import LogError
from service.settings import Settings

items = APIRouter()
NEAREST = 5
_STATUSES: Mapping[type[Exception], int] = {
    StaleError: 409, UnknownItemError: 404, NotAppliedError: 504, LogError: 503, IntakeError: 422,
    IntakeAwayError: 503,
}  # fmt: skip
_READ = documented(
    {
        404: "There is no such item, or no more",
        422: "A parameter is out of range",
        503: "The change of X-After is not applied here yet, or no model is loaded",
    }
)
_WRITE = documented(
    {
        401: "The key is missing or wrong",
        403: "No key is set, and this is another machine",
        404: "There is no such item, or no more",
        409: "A change of this version, or of a later one, is there",
        413: "The item is too large",
        422: "A field is missing, unknown or out of range, or cannot be encoded",
        503: "The log of changes cannot be written, or no model is loaded",
        504: "The change is kept, and not applied here yet",
    }
)


async def may_write(request: Request, state: CurrentState) -> None:
    """Raises HTTPException 401 or 403."""
    check_write(request, state.settings.items_key)


WRITERS = [Depends(may_write), Security(ITEMS_KEY)]


def most_bytes(scope: Scope, settings: Settings) -> int | None:
    """How large the body of a request may be; None: any, for it is never held as a whole."""
    if scope["path"] == "/items" and scope["method"] == "PUT":
        return None
    items = scope["path"].startswith("/items/")
    return settings.max_item_bytes if items else settings.max_body_bytes


Id = Annotated[ItemId, Path(description="of the shop; it may hold slashes")]
K = Annotated[int, Query(ge=1, le=100, description="how many items")]


@items.put(
    f"/items/{ITEM}",
    dependencies=WRITERS,
    responses=_WRITE,
    openapi_extra=body_of(PutItem),
)
async def put_item(item_id: Id, request: Request, state: CurrentState) -> ItemWritten:
    """Add an item, or replace it whole; it is recommended from the answer on.

    Its codes and vectors come from its text, picture and vectors by the bundle's own encoders. A
    new bundle takes it over.
    """
    check_json(request.scope)
    body = read_body(PutItem, await request.body())
    change = Change("put", item_id, time.time(), body.version, body.content())
    return await _written(change, state, nearest=True)


@items.patch(
    f"/items/{ITEM}",
    dependencies=WRITERS,
    responses=_WRITE,
    openapi_extra=body_of(PatchItem),
)
async def patch_item(item_id: Id, request: Request, state: CurrentState) -> ItemWritten:
    """Change attributes, of an item of the bundle, too; nothing is encoded anew."""
    check_json(request.scope)
    body = read_body(PatchItem, await request.body())
    change = Change("patch", item_id, time.time(), body.version, attributes=body.attributes)
    return await _written(change, state)


@items.delete(f"/items/{ITEM}", dependencies=WRITERS, responses=_WRITE)
async def delete_item(
    item_id: Id,
    state: CurrentState,
    version: Annotated[int | None, Query(ge=1, le=2**62, description="as in PUT")] = None,
) -> ItemWritten:
    """Recommend it no more, from the answer on; histories that hold it are still understood."""
    return await _written(Change("delete", item_id, time.time(), version), state)


@items.get(f"/items/{ITEM}", responses=_READ)
async def get_item(item_id: Id, state: CurrentState, caller: CurrentCaller) -> ItemState:
    """What is known of it, and what it is like."""
    async with state.lease(caller) as generation:
        await wait_for(caller.after, generation, state)
        found = generation.live.items.item(item_id)
        if found is None:
            raise HTTPException(404, f"there is no item {item_id!r}")
        by: Sequence[By] = ("behaviour", "content")
        nearest = [await nearest_of(generation, found.row, each, NEAREST) for each in by]
        return ItemState(
            item_id=item_id,
            title=found.title,
            source="live" if found.live else "bundle",
            semantic_id=found.semantic_id,
            attributes=found.attributes,
            version=found.version,
            position=found.position,
            by_behaviour=nearest[0],
            by_content=nearest[1],
        )


@items.get(f"/similar/{ITEM}", responses=_READ)
async def similar(
    item_id: Id, state: CurrentState, caller: CurrentCaller, by: By = "behaviour", k: K = 10
) -> SimilarItems:
    """Items like one: by what users do with them, or by what they are."""
    async with state.lease(caller) as generation:
        await wait_for(caller.after, generation, state)
        found = generation.live.items.item(item_id)
        if found is None:
            raise HTTPException(404, f"there is no item {item_id!r}")
        nearest = await nearest_of(generation, found.row, by, k)
        return SimilarItems(items=nearest, model_version=generation.bundle.digest)


def status_of(error: Exception) -> int:
    """The status of a change that was not written."""
    return _STATUSES[type(error)]


async def nearest_of(generation: Generation, row: int, by: By, k: int) -> list[NearItem]:
    """In a thread: every item is looked at."""
    found: Sequence[Near] = await asyncio.to_thread(generation.similar.near, row, by, k)
    names = generation.live.items.names([near.row for near in found])
    return [
        NearItem(item_id=item_id, title=title, score=near.score)
        for (item_id, title), near in zip(names, found, strict=True)
    ]


async def _written(change: Change, state: State, *, nearest: bool = False) -> ItemWritten:
    """Raises what it is answered by."""
    (result,) = await state.writer.write([change])
    if not isinstance(result, Written):
        raise _problem(result)
    item, near = result.item, []
    if nearest and item is not None:
        async with state.registry.lease_current() as generation:
            if generation.live.items.item(item.item_id) == item:  # nobody was faster
                near = await nearest_of(generation, item.row, "content", NEAREST)
    return ItemWritten(
        item_id=change.item_id,
        position=result.position,
        version=item.version if item else None,
        semantic_id=item.semantic_id if item else None,
        nearest=near,
    )


def _problem(error: Result) -> Exception:
    assert isinstance(error, Exception)
    if isinstance(error, IntakeError):
        return fault(error.reason, *error.field.removeprefix("body").split("."))
    headers = {"retry-after": "1"} if isinstance(error, LogError | IntakeAwayError) else None
    return HTTPException(status_of(error), str(error), headers)
