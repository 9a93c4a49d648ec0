"""The composition root: everything is wired here and nowhere else."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from service.generation.board import Board
from service.generation.follower import Follower, Load
from service.generation.load import load_generation
from service.generation.registry import Registry
from service.generation.shadow import Shadow
from service.http.admin import admin
from service.http.envelope import Envelope
from service.http.fast_path import FastPath
from service.http.problems import add_handlers, describe_problems
from service.http.routes import recommend_route, router
from service.http.state import State
from service.metrics import Metrics
from service.settings import Settings


class Service(FastAPI):
    """FastAPI, and what every request meets before it."""

    outermost: ASGIApp
    fast_path: FastPath

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        await self.outermost(scope, receive, send)


def create_app(
    settings: Settings,
    load: Load = load_generation,
    metrics: Metrics | None = None,
    board: Board | None = None,
    tell_others: Callable[[], object] = lambda: None,
    *,
    beside: bool = False,
) -> Service:
    """The application. ``load`` is replaced in tests by one that fakes our own interfaces.

    ``beside``: it answers, with 503, while the first generation is being loaded; ``state.fault``
    says why that could not be. Else start-up waits for it, and raises.
    """
    metrics = metrics or Metrics()
    registry = Registry(metrics, settings.canary_share)
    follower = Follower(registry, settings, metrics, load, board)
    state = State(settings, metrics, registry, follower, Shadow(metrics), tell_others)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        beginning = asyncio.create_task(follower.start())
        if beside:
            beginning.add_done_callback(state.note_fault)
        else:
            await beginning
        yield
        beginning.cancel()
        state.draining = True
        await state.shadow.settle()
        await follower.close()

    app = Service(
        title="bbqrec",
        description="Next-item recommendations from behaviour-bound semantic IDs.",
        lifespan=lifespan,
    )
    app.state.service = state
    app.include_router(router)
    if settings.admin_key is not None:
        app.include_router(admin)
    add_handlers(app)
    describe_problems(app)
    app.fast_path = FastPath(partial(FastAPI.__call__, app), recommend_route(), state)
    app.outermost = Envelope(app.fast_path, metrics, settings.max_body_bytes)
    return app
