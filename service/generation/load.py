"""A bundle's folder -> a generation that is verified, loaded and warm."""

from pathlib import Path

import numpy as np

from models.contract.bundle import FILES, Bundle, read
from models.contract.intake import Intake
from models.contract.types import FloatArray, ItemCodes
from service.catalogue.bundle_intake import BundleIntake
from service.catalogue.codes import Codes
from service.catalogue.live_items import LiveItems
from service.catalogue.shared_codes import SharedCodes
from service.catalogue.taking import NoIntake, Taking
from service.engine.batcher import Batcher
from service.engine.device import DeviceEngine
from service.engine.engine import Engine, HostEngine
from service.engine.scorer import OnnxScorer, make_scorer
from service.generation.generation import Generation
from service.generation.heard import Heard
from service.generation.live_follower import LiveFollower
from service.generation.popular import Popular
from service.generation.recommender import Recommender
from service.generation.ruled import Ruled
from service.metrics import Metrics
from service.retrieval.choose import make_retriever
from service.retrieval.live import CurrentLive, nothing_lives
from service.retrieval.matrix import MOST_BYTES
from service.retrieval.overlay import Overlay
from service.retrieval.retriever import BaseRetriever
from service.retrieval.selection import Selection
from service.settings import Settings

_WARM_K = 100


def load_generation(directory: Path, settings: Settings, metrics: Metrics) -> Generation:
    """Read, verify, load and warm a bundle; for a thread of its own.

    Raises BundleError or ProviderError, each a clear sentence. Where ``settings.verify`` is
    ``background``, files that are mapped are left for ``verify_mapped``.
    """
    bundle = read(directory, FILES.MAPPED if settings.verify == "background" else ())
    items = LiveItems(bundle)
    engine = make_engine(bundle, settings, lambda: items.live)
    _warm(engine, bundle, settings.max_batch)
    intake = BundleIntake(bundle) if bundle.intake_path else NoIntake()
    return new_generation(items, engine, intake, settings, metrics)


def new_generation(
    items: LiveItems, engine: Engine, intake: Intake, settings: Settings, metrics: Metrics
) -> Generation:
    """The parts put together."""
    batcher = Batcher(engine, metrics, settings.max_batch)
    shared = SharedCodes(items.bundle, settings, metrics) if settings.redis_url else None
    codes = Codes(items.bundle, items, metrics)
    follower = LiveFollower(items, Taking(intake, shared), metrics)
    recommender = Recommender(
        items.bundle, codes, items, batcher, metrics, Heard(items), Popular(items), Ruled(items)
    )
    return Generation(recommender, follower)


def verify_mapped(bundle: Bundle) -> None:
    """Raises BundleError where a mapped file is not what was exported."""
    bundle.verify(FILES.MAPPED)


def make_engine(bundle: Bundle, settings: Settings, live: CurrentLive | None = None) -> Engine:
    """What the settings ask for: all on one GPU where ONNX Runtime holds the catalogue there.

    live: asked once a batch for what lives beside the bundle's items; None: nothing ever does.
    """
    scorer = make_scorer(bundle, settings.provider, settings.threads)
    vectors_ND, threads = bundle.item_vectors_ND, settings.threads
    live = live or nothing_lives(*vectors_ND.shape)
    fits = vectors_ND.nbytes <= MOST_BYTES and settings.retriever != "compressed"
    if isinstance(scorer, OnnxScorer) and scorer.device == "cuda" and fits:
        return DeviceEngine(scorer, vectors_ND, threads, live, bundle.memory)
    if scorer.provider == "torch-cuda" and settings.retriever != "compressed":
        base = _on_device(vectors_ND)
    else:
        gpu = scorer.provider.endswith("cuda")
        base = make_retriever(bundle, settings.retriever, threads, gpu=gpu)
    return HostEngine(scorer, Overlay(base, vectors_ND, threads, live), bundle.memory)


def _on_device(item_vectors_ND: FloatArray) -> BaseRetriever:
    """Where there is torch, for there is a scorer that is made of it."""
    from service.engine.torch_retriever import TorchRetriever

    return TorchRetriever(item_vectors_ND, "cuda")


def _warm(engine: Engine, bundle: Bundle, max_batch: int) -> None:
    """Answer what takes most memory once, so that no request pays for it.

    The same history in all of a batch: to draw each would keep the interpreter from requests.
    """
    codes_NS, longest = bundle.semantic_ids.codes_NS, bundle.manifest.architecture.max_history
    rows = np.random.default_rng(0).integers(0, len(codes_NS), longest)
    history = [ItemCodes(row, codes_NS[row]) for row in rows.tolist()]
    selection = Selection(np.unique(rows))
    for batch, length in ((1, 1), (1, longest), (max_batch, longest)):
        engine.candidates([history[:length]] * batch, [_WARM_K] * batch, [selection] * batch)
