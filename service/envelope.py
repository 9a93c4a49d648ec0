"""What surrounds every request: its id, its size limit, its time. Pure ASGI, for speed."""

import re
import time
import uuid

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.metrics import Metrics
from service.problems import problem

_REQUEST_ID = b"x-request-id"
_SAFE_ID = re.compile(rb"[\x21-\x7e]{1,128}")


class Envelope:
    """Echoes X-Request-ID, refuses bodies over the limit, and measures."""

    def __init__(self, app: ASGIApp, metrics: Metrics, max_body_bytes: int) -> None:
        self.app = app
        self.metrics = metrics
        self.max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection; only HTTP is touched."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started, status = time.perf_counter(), 500
        headers = dict(scope["headers"])
        given = headers.get(_REQUEST_ID, b"")
        request_id = given if _SAFE_ID.fullmatch(given) else uuid.uuid4().hex.encode()

        async def tagged(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message["headers"], (_REQUEST_ID, request_id)]}
            await send(message)

        try:
            if _declared(headers) > self.max_body_bytes:
                refusal = problem(413, self._too_large, headers={"connection": "close"})
                return await refusal(scope, receive, tagged)
            await self.app(scope, self._limited(receive), tagged)
        finally:
            # The route's pattern, never the path: a path is the client's to choose.
            route = getattr(scope.get("route"), "path", "other")
            labels = route, str(status)
            self.metrics.request.labels(*labels).observe(time.perf_counter() - started)
            self.metrics.requests.labels(*labels).inc()
        return None

    @property
    def _too_large(self) -> str:
        return f"the body is larger than {self.max_body_bytes} bytes"

    def _limited(self, receive: Receive) -> Receive:
        """Count what really comes: a client need not declare it, or may lie."""
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_body_bytes:
                raise HTTPException(413, self._too_large, {"connection": "close"})
            return message

        return counted


def _declared(headers: dict[bytes, bytes]) -> int:
    length = headers.get(b"content-length", b"0")
    return int(length) if length.isdigit() else 0
