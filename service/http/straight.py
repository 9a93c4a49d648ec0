"""The way to routes that read and answer JSON themselves: straight, with nothing between.

What FastAPI puts before every route (six layers, a router of patterns) costs such a request as much
again as it takes. These are found by their path alone; all others are the framework's.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from service.http.json_route import JsonRoute

Handler = Callable[[Request, Exception], Awaitable[Response]]


class Straight:
    """Hands a request to its JsonRoute, or to the framework, whose handlers answer faults."""

    def __init__(self, app: FastAPI, framework: ASGIApp) -> None:
        self.app = app
        self.framework = framework
        self.handlers: Mapping[Any, Any] = app.exception_handlers
        self.routes = {r.path: r for r in app.router.routes if isinstance(r, JsonRoute)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection. Raises what no handler is for."""
        route = self.routes.get(scope["path"]) if scope["type"] == "http" else None
        if route is None:
            await self.framework(scope, receive, send)
            return
        scope["app"], scope["route"] = self.app, route
        try:
            await route.handle(scope, receive, send)
        except Exception as error:
            handler = self._handler(error)
            if handler is None:
                raise
            response = await handler(Request(scope), error)
            await response(scope, receive, send)

    def _handler(self, error: Exception) -> Handler | None:
        known = (self.handlers.get(kind) for kind in type(error).__mro__)
        return next((handler for handler in known if handler is not None), None)
