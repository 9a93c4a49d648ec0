"""The composition root: everything is wired here and nowhere else."""

import asyncio
import contextlib
import gc
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from models.contract import bundle
from models.contract.bundle import Bundle
from service.catalogue.code_cache import make_cache
from service.engine.batcher import Batcher
from service.engine.device import DeviceEngine
from service.engine.engine import Engine, HostEngine
from service.engine.scorer import OnnxScorer, make_scorer
from service.generation.recommender import Recommender, most_used, rows_of
from service.http.envelope import Envelope
from service.http.fast_path import FastPath
from service.http.problems import add_handlers, describe_problems
from service.http.routes import recommend_route, router
from service.http.state import State
from service.metrics import Metrics
from service.retrieval.choose import make_retriever
from service.retrieval.matrix import MOST_BYTES
from service.settings import Settings

log = logging.getLogger("bbqrec")
Load = Callable[[Settings, Metrics], Recommender]


class Service(FastAPI):
    """FastAPI, and what every request meets before it."""

    outermost: ASGIApp
    fast_path: FastPath

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        await self.outermost(scope, receive, send)


def load_recommender(settings: Settings, metrics: Metrics) -> Recommender:
    """Read the bundle and build what serves it.

    Raises BundleError or ProviderError, each a clear sentence.
    """
    found = bundle.read(settings.bundle)
    engine = make_engine(found, settings, metrics)
    metrics.describe(engine.provider, engine.retriever, found.digest, found.manifest.name)
    batcher = Batcher(engine, metrics, settings.max_batch)
    rows = rows_of(found)
    cache = make_cache(found, rows, settings, metrics)
    popular = most_used(found)
    return Recommender(found, rows, popular, cache, batcher, metrics, engine.provider)


def make_engine(found: Bundle, settings: Settings, metrics: Metrics) -> Engine:
    """What the settings ask for: all on one GPU where ONNX Runtime holds the catalogue there."""
    scorer = make_scorer(found, settings.provider, settings.threads)
    vectors_ND, threads = found.item_vectors_ND, settings.threads
    fits = vectors_ND.nbytes <= MOST_BYTES and settings.retriever != "compressed"
    if isinstance(scorer, OnnxScorer) and scorer.device == "cuda" and fits:
        return DeviceEngine(scorer, vectors_ND, threads, metrics)
    gpu = scorer.provider.endswith("cuda")
    retriever = make_retriever(vectors_ND, settings.retriever, threads, gpu=gpu)
    return HostEngine(scorer, retriever, metrics)


def create_app(
    settings: Settings,
    load: Load = load_recommender,
    metrics: Metrics | None = None,
    *,
    beside: bool = False,
) -> Service:
    """The application. ``load`` is replaced in tests by one that fakes our own interfaces.

    ``beside``: it answers, with 503, while the model is being loaded; ``state.fault`` says why it
    could not be. Else start-up waits for the model, and raises.
    """
    metrics = metrics or Metrics()
    state = State(settings, metrics)

    async def bring_into_service() -> None:
        recommender = await _in_thread(partial(load, settings, metrics))
        await recommender.start()
        state.recommender = recommender
        gc.freeze()  # what lives as long as the service: a full collection walked it all, 0.1 s
        log.info(
            "serving %s (%s, %d items) on %s",
            recommender.bundle.manifest.name,
            recommender.bundle.digest[:12],
            len(recommender.bundle.catalogue),
            recommender.provider,
        )

    def note_fault(loading: asyncio.Task[None]) -> None:
        if not loading.cancelled() and isinstance(fault := loading.exception(), Exception):
            state.fault = fault

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        loading = asyncio.create_task(bring_into_service())
        if beside:
            loading.add_done_callback(note_fault)
        else:
            await loading
        yield
        loading.cancel()
        state.draining = True
        if recommender := state.recommender:
            state.recommender = None
            await recommender.close()
        gc.unfreeze()

    app = Service(
        title="bbqrec",
        description="Next-item recommendations from behaviour-bound semantic IDs.",
        lifespan=lifespan,
    )
    app.state.service = state
    app.include_router(router)
    add_handlers(app)
    describe_problems(app)
    app.fast_path = FastPath(partial(FastAPI.__call__, app), recommend_route(), state)
    app.outermost = Envelope(app.fast_path, metrics, settings.max_body_bytes)
    return app


async def _in_thread(call: Callable[[], Recommender]) -> Recommender:
    """Its result. A daemon: who is asked to stop while it loads does not wait for it."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Recommender] = loop.create_future()

    def settle(result: Recommender | None, error: Exception | None) -> None:
        if done.cancelled():
            return
        if result is not None:
            done.set_result(result)
        elif error is not None:
            done.set_exception(error)

    def run() -> None:
        result = error = None
        try:
            result = call()
        except Exception as raised:  # it belongs to whoever waits
            error = raised
        with contextlib.suppress(RuntimeError):  # nobody does any more: the loop is closed
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, daemon=True, name="bbqrec-load").start()
    return await done
