"""PUT /items: many items, a line each, in and out while they come.

Results go out while lines still come in. Whoever sends all before it reads anything may: what it
does not take is kept for it, a result a line.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from service.catalogue.change import Change
from service.generation.registry import NotReadyError
from service.generation.writer import Result, Written
from service.http.document import body_of
from service.http.item_schemas import LineResult, PutLine
from service.http.items import WRITERS, may_write, status_of
from service.http.json_route import read_body
from service.http.problems import documented, said
from service.http.routes import CurrentState
from service.http.state import State
from service.settings import Settings

_LINES = "application/x-ndjson"
_AT_ONCE = 256  # lines
_LULL = 0.02  # seconds without another byte: what has come is written
Line = tuple[int, bytes]


class LinesRoute(APIRoute):
    """Answers a line for each line of the request."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises HTTPException before the first line."""
        if scope["method"] != "PUT":
            await super().handle(scope, receive, send)  # 405
            return
        state: State = scope["app"].state.service
        await may_write(Request(scope), state)
        if state.registry.get("current") is None:
            raise NotReadyError("no model is loaded")
        headers = [(b"content-type", _LINES.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        results: asyncio.Queue[bytes] = asyncio.Queue()
        sending = asyncio.create_task(_send(results, send))
        try:
            async for lines in _batches(receive, state):
                results.put_nowait(await _written(lines, state))
        except BaseException:  # cut off, and not ended as if all were there
            sending.cancel()
            raise
        results.put_nowait(b"")
        await sending


async def _send(results: asyncio.Queue[bytes], send: Send) -> None:
    """Until an empty one."""
    more = True
    while more:
        body = await results.get()
        more = bool(body)
        await send({"type": "http.response.body", "body": body, "more_body": more})


async def _batches(receive: Receive, state: State) -> AsyncIterator[list[Line]]:
    """Lines with their numbers, from 1; blank ones are none. What is too long is cut.

    Ends where the client has left. Beyond as many as there may be, one more ends it: see `_change`.
    """
    most, rest, number = state.settings.max_item_bytes, b"", 0
    lines: list[Line] = []
    coming = asyncio.ensure_future(receive())
    try:
        while True:
            if lines and not (await asyncio.wait([coming], timeout=_LULL))[0]:
                yield lines
                lines = []
            message = await coming
            if message["type"] == "http.disconnect":
                return
            *whole, rest = (rest[: most + 1] + message.get("body", b"")).split(b"\n")
            if ended := not message.get("more_body", False):
                whole.append(rest)
            lines += [(n, line) for n, line in enumerate(whole, number + 1) if line.strip()]
            number += len(whole)
            last = ended or number > state.settings.max_items
            while len(lines) >= _AT_ONCE or (last and lines):
                yield lines[:_AT_ONCE]
                lines = lines[_AT_ONCE:]
            if last:
                return
            coming = asyncio.ensure_future(receive())
    finally:
        coming.cancel()


async def _written(lines: Sequence[Line], state: State) -> bytes:
    """Results of some lines, as lines."""
    found: dict[int, LineResult] = {}
    changes: dict[int, Change] = {}
    for number, line in lines:
        try:
            changes[number] = _change(number, line, state.settings)
        except (RequestValidationError, HTTPException) as error:
            found[number] = _unreadable(number, error)
    try:
        results = await state.writer.write(list(changes.values()))
    except NotReadyError as error:  # it went out of service meanwhile
        found |= {n: LineResult(line=n, status=503, detail=str(error)) for n in changes}
    else:
        for (number, change), result in zip(changes.items(), results, strict=True):
            found[number] = _result(number, change.item_id, result)
    answers = (found[number].model_dump(exclude_none=True) for number, _ in lines)
    return b"".join(to_json(answer) + b"\n" for answer in answers)


def _change(number: int, line: bytes, settings: Settings) -> Change:
    if len(line) > settings.max_item_bytes:
        raise HTTPException(413, f"the line is longer than {settings.max_item_bytes} bytes")
    if number > settings.max_items:
        raise HTTPException(413, f"only {settings.max_items} lines are taken at once")
    body = read_body(PutLine, line)
    return Change("put", body.item_id, time.time(), body.version, body.content())


def _unreadable(number: int, error: RequestValidationError | HTTPException) -> LineResult:
    if isinstance(error, HTTPException):
        return LineResult(line=number, status=error.status_code, detail=error.detail)
    faults = (f"{_place(fault)}: {said(fault)}" for fault in error.errors())
    return LineResult(line=number, status=422, detail="; ".join(faults))


def _place(fault: dict[str, Any]) -> str:
    return ".".join(map(str, fault["loc"][1:])) or "line"


def _result(number: int, item_id: str, result: Result) -> LineResult:
    if isinstance(result, Written):
        item = result.item
        return LineResult(
            line=number,
            item_id=item_id,
            status=200,
            position=result.position,
            version=item.version if item else None,
            semantic_id=item.semantic_id if item else None,
        )
    told = str(result)
    return LineResult(line=number, item_id=item_id, status=status_of(result), detail=told)


class _Lines(JSONResponse):
    """For the OpenAPI document: what is sent is of this kind."""

    media_type = _LINES


def add_lines(app: FastAPI) -> None:
    """The endpoint."""
    app.router.add_api_route(
        "/items",
        put_items,
        methods=["PUT"],
        route_class_override=LinesRoute,
        response_class=_Lines,
        response_model=LineResult,
        dependencies=WRITERS,  # for the document: the route asks by itself
        responses=documented({401: "The key is missing or wrong", 403: "This is another machine"}),
        openapi_extra=body_of(PutLine, _LINES),
    )


async def put_items(state: CurrentState) -> None:
    """Add or replace many items: JSON Lines, each as in PUT /items/{item_id}, and its `item_id`.

    Answered line by line, while they come: a line at fault keeps no other from being written. A
    line whose status is 200 is kept and applied.
    """
