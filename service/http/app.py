"""The composition root: everything is wired here and nowhere else."""

import gc
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from models.contract import bundle
from models.contract.bundle import Bundle
from service.catalogue.code_cache import make_cache
from service.engine.batcher import Batcher
from service.engine.device import DeviceEngine
from service.engine.engine import Engine, HostEngine
from service.engine.scorer import OnnxScorer, make_scorer
from service.generation.recommender import Recommender, most_used, rows_of
from service.http.envelope import Envelope
from service.http.pages import add_pages
from service.http.problems import EVERYWHERE, add_handlers, describe_problems
from service.http.routes import add_routes
from service.http.state import State
from service.metrics import Metrics
from service.retrieval.choose import make_retriever
from service.retrieval.matrix import MOST_BYTES
from service.settings import Settings

log = logging.getLogger("bbqrec")
Load = Callable[[Settings, Metrics], Recommender]


class Service(FastAPI):
    """FastAPI, whose document says that problems are problem+json."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        document = super().openapi()
        describe_problems(document)
        return document


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
    settings: Settings, load: Load = load_recommender, metrics: Metrics | None = None
) -> Service:
    """The application. ``load`` is replaced in tests by one that fakes our own interfaces."""
    metrics = metrics or Metrics()
    state = State(settings, metrics)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        recommender = load(settings, metrics)
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
        yield
        state.draining = True
        state.recommender = None
        await recommender.close()
        gc.unfreeze()

    app = Service(
        title="bbqrec",
        description="Next-item recommendations from behaviour-bound semantic IDs.",
        lifespan=lifespan,
        responses=EVERYWHERE,
        redirect_slashes=False,  # to whatever `Host` says
        openapi_url=None,  # it, /docs and /redoc are in pages.py
        telemetry={"tracing": False, "metrics": False, "logs": False},  # 10 µs to find it is off
    )
    app.state.service = state
    add_routes(app, settings)
    add_pages(app)
    add_handlers(app)
    app.add_middleware(Envelope, metrics=metrics, max_body_bytes=settings.max_body_bytes)
    return app
