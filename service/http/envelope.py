"""What surrounds every request: its id, its size limit, its time, and the last word on failures.

HEAD is GET without the body, whatever the route.

Pure ASGI: Starlette's BaseHTTPMiddleware would cost more than the rest of the HTTP path.
"""

import asyncio
import contextlib
import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping
from itertools import count

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.caller import SPENT
from service.http.problems import failure
from service.metrics import Metrics

log = logging.getLogger("bbqrec")
_REQUEST_ID = b"x-request-id"
_NOSNIFF = (b"x-content-type-options", b"nosniff")
_TRACE = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")  # traceparent
_SAFE_ID = re.compile(rb"[\x21-\x7e]{1,128}")
_DISCARDED_BYTES, _DISCARDED_SECONDS = 2**24, 2.0
_Headers = Mapping[bytes, bytes]


class Envelope:
    """Echoes X-Request-ID, refuses bodies over the limit, measures, and answers what was raised.

    A request that takes longer than ``slow`` seconds is logged.
    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        most_bytes: Callable[[Scope], int | None],
        slow: float,
    ) -> None:
        self.app = app
        self.metrics = metrics
        self.most_bytes = most_bytes
        self.slow = slow
        # A request's own id: one of this process, drawn once, and a number; a draw each would cost
        # 5 µs. Not drawn when imported: processes that are forked later would share it.
        self.process, self.number = secrets.token_hex(10).encode(), count()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection; only HTTP is touched."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0
        headers = dict(scope["headers"])
        request_id = self._request_id(headers)
        added = [(_REQUEST_ID, request_id), _NOSNIFF]
        if bodiless := scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}

        async def tagged(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                timed = (b"server-timing", _timing(scope, time.perf_counter() - started))
                message = {**message, "headers": [*message["headers"], *added, timed]}
            elif bodiless:
                message = {**message, "body": b""}
            await send(message)

        self.metrics.in_flight.inc()
        try:
            await self.app(scope, self._limited(scope, receive, _declared(headers)), tagged)
        except Exception:  # nothing may reach the server: it would answer in plain text
            log.exception("request %s to %r failed", request_id.decode(), scope["path"])
            if not status:
                await failure()(scope, receive, tagged)
        finally:
            self.metrics.in_flight.dec()
            seconds = time.perf_counter() - started
            self._measure(scope, status, seconds)
            if seconds > self.slow:
                _tell(scope, status, seconds, request_id, headers)

    def _limited(self, scope: Scope, receive: Receive, declared: int) -> Receive:
        """Refuse by what is declared, and count what comes: a caller may declare nothing, or lie.

        Raised where the body is read, so that FastAPI answers and the route is known.
        """
        received, most = 0, self.most_bytes(scope)
        if most is None:
            return receive

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if max(received, declared) > most:
                await _read_on(receive, message)
                detail = f"the body is larger than {most} bytes"
                raise HTTPException(413, detail, {"connection": "close"})
            return message

        return counted

    def _request_id(self, headers: _Headers) -> bytes:
        given = headers.get(_REQUEST_ID, b"")
        safe = _SAFE_ID.fullmatch(given)
        return given if safe else b"%s%012x" % (self.process, next(self.number))

    def _measure(self, scope: Scope, status: int, seconds: float) -> None:
        # The route's pattern, never the path: a path is the caller's to choose.
        route = getattr(scope.get("route"), "path_format", "other")
        self.metrics.count_request(str(route), status or 500, seconds)


def _timing(scope: Scope, total: float) -> bytes:
    """Server-Timing, in milliseconds: of what was searched for, its parts too."""
    spent = scope.get(SPENT)
    parts = () if spent is None else zip(spent._fields, spent, strict=True)
    return b", ".join(
        b"%s;dur=%.2f" % (name.encode(), 1000 * seconds)
        for name, seconds in (("total", total), *parts)
    )


def _tell(scope: Scope, status: int, seconds: float, request_id: bytes, headers: _Headers) -> None:
    """Which request was slow: exemplars, by which one would find it, need a single process."""
    trace = _TRACE.fullmatch(headers.get(b"traceparent", b""))
    log.warning(
        "slow: %s %r took %.2fs, status %d, request %s, trace %s",
        *(scope["method"], scope["path"], seconds, status, request_id.decode()),
        trace[1].decode() if trace else "none",
    )


async def _read_on(receive: Receive, message: Message) -> None:
    """Discard some of what is still coming: a caller cut off while sending never sees the 413."""
    left = _DISCARDED_BYTES
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DISCARDED_SECONDS):
            while message.get("more_body") and left > 0:
                message = await receive()
                left -= len(message.get("body", b""))


def _declared(headers: _Headers) -> int:
    length = headers.get(b"content-length", b"0")
    return int(length) if length.isdigit() and len(length) < 20 else 0
