"""The composition root: everything is wired here, but for what is in ``hearing.py``."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Lifespan

from models.contract.manifest import Manifest
from service.catalogue.change_log import CHANGE_LOG
from service.events.record import Split
from service.generation.board import Board
from service.generation.follower import Follower, Load
from service.generation.load import load_generation
from service.generation.registry import Registry
from service.generation.shadow import Shadow
from service.generation.writer import Writer
from service.http.admin import admin
from service.http.document import gather_definitions
from service.http.envelope import Envelope
from service.http.events import add_events
from service.http.experiments import experiments
from service.http.find import finding
from service.http.hearing import make_events
from service.http.item_lines import add_lines
from service.http.items import items, most_bytes
from service.http.page import add_page
from service.http.pages import add_pages
from service.http.pictures import add_pictures
from service.http.problems import EVERYWHERE, add_handlers, describe_problems
from service.http.recommend_schemas import RecommendRequest, within_limits
from service.http.routes import add_routes
from service.http.scenarios import Scenarios
from service.http.state import State
from service.http.straight import Straight
from service.log.appender import Appender
from service.log.open_log import live_folder, open_log
from service.metrics import Metrics
from service.settings import Settings


class Service(FastAPI):
    """FastAPI, whose document calls problems problem+json, and which JSON routes pass by."""

    def build_middleware_stack(self) -> ASGIApp:
        """What every request meets: the envelope, then its route, or all of the framework."""
        state: State = self.state.service
        straight = Straight(self, super().build_middleware_stack())
        settings = state.settings
        most = partial(most_bytes, settings=settings)
        return Envelope(straight, state.metrics, most, settings.slow)

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        document = super().openapi()
        describe_problems(document)
        gather_definitions(document)
        return document


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
    metrics.ask_for(settings.provider)
    state = _wired(settings, load, metrics, board, tell_others)
    app = Service(
        title="bbqrec",
        description="Next-item recommendations from behaviour-bound semantic IDs.",
        lifespan=_lifespan(state, beside=beside),
        responses=EVERYWHERE,
        redirect_slashes=False,  # to whatever `Host` says
        openapi_url=None,  # it, /docs and /redoc are in pages.py
        telemetry={"tracing": False, "metrics": False, "logs": False},  # 10 µs to find it is off
    )
    app.state.service = state
    _add_all(app, settings, state.scenarios.limits)
    return app


def _wired(
    settings: Settings,
    load: Load,
    metrics: Metrics,
    board: Board | None,
    tell_others: Callable[[], object],
) -> State:
    """All parts of a service, each given those that it needs; nothing has begun."""
    registry = Registry(metrics, settings.canary_share)
    changes = open_log(settings, CHANGE_LOG, live_folder(settings))

    def fade(manifest: Manifest) -> None:
        recency = manifest.recency
        events.feed.fade_popularity(recency.half_life if recency else settings.live_half_life)

    def split() -> Split | None:
        return registry.split() if follower.settled() else None

    follower = Follower(registry, settings, metrics, load, board, changes, fade)
    events = make_events(settings, metrics, split)
    return State(
        settings=settings,
        metrics=metrics,
        registry=registry,
        follower=follower,
        shadow=Shadow(metrics),
        writer=Writer(Appender(changes), registry, settings.deadline),
        events=events,
        scenarios=Scenarios(settings.scenarios, within_limits(settings), metrics, registry),
        tell_others=tell_others,
    )


def _lifespan(state: State, *, beside: bool) -> Lifespan[FastAPI]:
    """From the first generation to the last request."""

    async def begin() -> None:
        state.follower.announce()  # by what popularity fades, before what is in the log is counted
        await state.events.start()  # first: who asks finds what was done before
        await state.follower.start()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        beginning = asyncio.create_task(begin())
        if beside:
            beginning.add_done_callback(state.note_fault)
        else:
            await beginning
        following = asyncio.create_task(state.scenarios.follow())
        yield
        following.cancel()
        beginning.cancel()
        state.draining = True
        await state.shadow.settle()
        await state.follower.close()
        await state.writer.appender.close()
        await state.events.close()

    return lifespan


def _add_all(app: FastAPI, settings: Settings, limits: type[RecommendRequest]) -> None:
    """Every route, and what answers where one fails."""
    add_routes(app, settings, limits)
    add_lines(app)
    app.include_router(finding)
    app.include_router(items)
    if settings.admin_key is not None:
        app.include_router(admin)
    add_events(app, settings)
    app.include_router(experiments)
    add_pages(app)
    if settings.page:
        add_page(app)
        if settings.pictures is not None:
            add_pictures(app, settings.pictures)
    add_handlers(app)
