"""POST /recommend without the framework's machinery, where all is in order.

The same request model, use case and answer as the route. Whatever is not in order (no JSON, a field
at fault, a limit passed, a body in pieces, no model) goes on to FastAPI, body and all, which
answers it as it documents.
"""

from fastapi.routing import APIRoute
from pydantic import ValidationError
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.problems import answer_http
from service.http.routes import answer
from service.http.schemas import LimitError, RecommendRequest, check_limits
from service.http.state import State

_JSON = (b"content-type", b"application/json")


class FastPath:
    """Answers the requests it takes itself, and hands all others to ``app``."""

    def __init__(self, app: ASGIApp, route: APIRoute, state: State) -> None:
        self.app = app
        self.route = route
        self.state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if not self._takes(scope):
            await self.app(scope, receive, send)
            return
        message = await receive()
        body = self._read(message)
        if body is None:
            await self.app(scope, _first(message, receive), send)
            return
        scope["route"] = self.route  # what the time is booked under
        try:
            content = to_json(await answer(body, self.state))
        except HTTPException as error:
            await answer_http(error)(scope, receive, send)
            return
        length = str(len(content)).encode()
        headers = [_JSON, (b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def _takes(self, scope: Scope) -> bool:
        return (
            scope["type"] == "http"
            and scope["path"] == self.route.path
            and scope["method"] == "POST"
            and self.state.registry.get("current") is not None
            and _JSON in scope["headers"]
        )

    def _read(self, message: Message) -> RecommendRequest | None:
        """The body, if it came whole and is in order."""
        if message["type"] != "http.request" or message.get("more_body"):
            return None
        try:
            body = RecommendRequest.model_validate_json(message["body"])
            check_limits(body, self.state.settings)
        except (ValidationError, LimitError):
            return None
        return body


def _first(message: Message, receive: Receive) -> Receive:
    """``receive``, but for ``message``, which was read already and comes once more."""
    waiting = [message]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again
