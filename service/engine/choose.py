"""Which engine answers: of the provider that was asked for, or of the best that works here."""

import ctypes
import logging
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from models.contract.bundle import Bundle
from models.contract.types import ItemCodes
from service.engine.device import DeviceEngine
from service.engine.engine import Engine, HostEngine
from service.engine.scorer import OnnxScorer, import_torch, make_scorer, why
from service.engine.watched import watched
from service.pace import rest
from service.retrieval.choose import make_retriever
from service.retrieval.live import CurrentLive, nothing_lives
from service.retrieval.matrix import MOST_BYTES
from service.retrieval.overlay import Overlay
from service.retrieval.selection import Selection
from service.runtime import ProviderError
from service.settings import Provider, Settings

_WARM_K = 100
_TURNS = 5
log = logging.getLogger("bbqrec")


def make_engine(bundle: Bundle, settings: Settings, live: CurrentLive | None = None) -> Engine:
    """The engine for ``settings.provider``, proved to work.

    live: asked once a batch for what lives beside the bundle's items; None: nothing ever does.
    Raises ProviderError where what was asked for is not there: a GPU that is missing is an error,
    never a silent CPU. ``auto`` takes the faster of those that work on a GPU, else the CPU; the log
    says why not the others.
    """
    live = live or nothing_lives(*bundle.item_vectors_ND.shape)

    def made(provider: Provider) -> Engine:
        return _engine(bundle, settings, provider, live)

    if settings.provider != "auto":
        return made(settings.provider)
    if on_gpu := [*_working(("cuda", "torch-cuda"), made)] if has_gpu() else []:
        return min(on_gpu, key=lambda engine: _seconds(engine, bundle, settings.max_batch))
    return next(_working(("cpu",), made), None) or made("torch")


def warm_engine(bundle: Bundle, settings: Settings, live: CurrentLive) -> Engine:
    """The same, and no request pays for being the first. Raises what an engine does, too.

    Where the GPU answers no more while it serves, the process ends.
    """
    engine = make_engine(bundle, settings, live)
    _warm(engine, bundle, settings.max_batch)
    return watched(engine)


def _warm(engine: Engine, bundle: Bundle, max_batch: int) -> None:
    """Answer what takes most memory once, so that no request pays for it."""
    longest = bundle.manifest.architecture.max_history
    for batch, length in ((1, 1), (1, longest), (max_batch, longest)):
        _answer(engine, bundle, batch, length)
        rest()


def _answer(engine: Engine, bundle: Bundle, batch: int, length: int) -> None:
    """The same history in all of a batch: to draw each would keep the interpreter from requests."""
    codes_NS = bundle.semantic_ids.codes_NS
    rows = np.random.default_rng(0).integers(0, len(codes_NS), length)
    history = [ItemCodes(row, codes_NS[row]) for row in rows.tolist()]
    selection = Selection(np.unique(rows))
    engine.candidates([history] * batch, [_WARM_K] * batch, [selection] * batch)


def _engine(bundle: Bundle, settings: Settings, provider: Provider, live: CurrentLive) -> Engine:
    exact = settings.retriever != "compressed"
    if provider == "torch-cuda" and exact:
        return _torch_engine(bundle, live, settings.max_batch)
    scorer = make_scorer(bundle, provider, settings.threads)
    vectors_ND, threads = bundle.item_vectors_ND, settings.threads
    on_gpu = scorer.provider.endswith("cuda")
    if isinstance(scorer, OnnxScorer) and on_gpu and exact and vectors_ND.nbytes <= MOST_BYTES:
        return DeviceEngine(scorer, threads, live)
    base = make_retriever(bundle, settings.retriever, threads, gpu=on_gpu)
    return HostEngine(scorer, Overlay(base, vectors_ND, threads, live), bundle.memory)


def _torch_engine(bundle: Bundle, live: CurrentLive, max_batch: int) -> Engine:
    import_torch("cuda")
    from service.engine.torch_engine import TorchEngine

    try:
        engine = TorchEngine(bundle, "cuda", live)
        engine.prepare(max_batch)
    except ProviderError:
        raise
    except Exception as error:  # torch has many; all mean the same to the operator
        raise ProviderError(f"provider `torch-cuda` cannot serve: {why(error)}") from error
    return engine


def _working(providers: Sequence[Provider], made: Callable[[Provider], Engine]) -> Iterator[Engine]:
    for provider in providers:
        try:
            yield made(provider)
        except ProviderError as error:
            log.info("not chosen: %s", error)


def _seconds(engine: Engine, bundle: Bundle, max_batch: int) -> float:
    """What the largest batch takes."""
    _warm(engine, bundle, max_batch)
    taken = []
    for _ in range(_TURNS):
        began = time.perf_counter()
        _answer(engine, bundle, max_batch, bundle.manifest.architecture.max_history)
        taken.append(time.perf_counter() - began)
    log.info("%s: %.2f ms a batch of %d", engine.provider, 1000 * min(taken), max_batch)
    return min(taken)


def has_gpu() -> bool:
    """Whether NVIDIA's driver is there: to look for a GPU with torch takes seconds without one."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True
