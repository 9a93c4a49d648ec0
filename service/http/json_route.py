"""A POST route that reads, validates and answers JSON itself.

To the OpenAPI document it is a route of FastAPI, whose solving of dependencies and serialisation it
does without: they take three times as long. A body at fault costs no more than one in order: what
is too much is refused before it is parsed, and what is parsed is validated once.
"""

import inspect
import re
from collections.abc import Callable
from typing import Any, TypeVar

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import ValidationError
from pydantic_core import from_json, to_json
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from service.http.body import Body
from service.http.caller import Caller

B = TypeVar("B", bound=Body)
_JSON = (b"content-type", b"application/json")
_NOT_JSON = "send a JSON object, with the header content-type: application/json"
_LIKE_JSON = re.compile(rb"application/[^/]+\+json")
_BLANKS = b" \t\r\n"


class JsonRoute(APIRoute):
    """The endpoint takes a Body, the State and the Caller, and returns what becomes JSON.

    Its return is not validated: ``response_model`` is for the OpenAPI document alone.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        body = next(iter(inspect.signature(endpoint).parameters.values()))
        self.body: type[Body] = body.annotation

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises ClientDisconnect, RequestValidationError, and what the
        endpoint raises.
        """
        if scope["method"] != "POST":
            await super().handle(scope, receive, send)  # 405
            return
        content = await _whole(receive)
        check_json(scope)
        body = read_body(self.body, content)
        answer = to_json(await self.endpoint(body, scope["app"].state.service, Caller(scope)))
        headers = [_JSON, (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


def read_body(model: type[B], content: bytes) -> B:
    """The request that a body holds. Raises RequestValidationError, of a few faults at most."""
    if is_bloated(content, model.most_json):
        raise fault(
            f"holds more values than a request may: over {model.most_json} bytes are not in strings"
        )
    try:
        data = from_json(content, allow_inf_nan=False)
    except ValueError as error:
        raise fault(f"is not valid JSON: {error}") from None
    try:
        return model.model_validate(data)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
    raise RequestValidationError([{**fault, "loc": ("body", *fault["loc"])} for fault in faults])


def is_bloated(content: bytes, most: int) -> bool:
    """Whether over ``most`` bytes of a JSON text are neither blank nor in a string.

    Every value needs one such byte, so that their number bounds what a parser builds. A megabyte
    is looked through in a few milliseconds; parsed, it may be 500,000 lists, and 0.2 s.
    """
    if len(content) <= most:
        return False
    bare = content
    if b"\\" in bare:  # without what is escaped, each quote begins a string or ends one
        bare = bare.replace(rb"\\", b"").replace(rb"\"", b"")
    if bare.count(b'"') > 2 * (most + 1):  # each string is followed by a byte that is in none
        return True
    outside = b"".join(bare.split(b'"')[::2])
    return len(outside.translate(None, _BLANKS)) > most


async def _whole(receive: Receive) -> bytes:
    """The body, which mostly comes in one piece."""
    pieces, more = [], True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        pieces.append(message.get("body", b""))
        more = message.get("more_body", False)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def check_json(scope: Scope) -> None:
    """Raises RequestValidationError for what does not say that it is JSON."""
    if not _is_json(scope):
        raise fault(_NOT_JSON)


def _is_json(scope: Scope) -> bool:
    """Whether the caller says so; with a charset or without, for JSON has only the one."""
    if _JSON in scope["headers"]:
        return True
    given = dict(scope["headers"]).get(b"content-type", b"").partition(b";")[0].strip().lower()
    return given == _JSON[1] or bool(_LIKE_JSON.fullmatch(given))


def fault(message: str, *place: str | int) -> RequestValidationError:
    """One fault, of the body as a whole or of a field of it."""
    return RequestValidationError([{"loc": ("body", *place), "msg": message}])
