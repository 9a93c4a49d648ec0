"""A bundle's folder -> a generation that is verified, loaded and warm."""

from collections.abc import Callable
from pathlib import Path

from models.contract.bundle import FILES, Bundle, read
from models.contract.intake import Intake
from service.catalogue.bundle_intake import BundleIntake
from service.catalogue.codes import Codes
from service.catalogue.live_items import LiveItems
from service.catalogue.shared_codes import SharedCodes
from service.catalogue.taking import NoIntake, Taking
from service.engine.batcher import Batcher
from service.engine.choose import warm_engine
from service.engine.engine import Engine
from service.generation.generation import Generation
from service.generation.heard import Heard
from service.generation.live_follower import LiveFollower
from service.generation.popular import Popular
from service.generation.recommender import Recommender
from service.generation.ruled import Ruled
from service.metrics import Metrics
from service.pace import rest
from service.retrieval.live import CurrentLive
from service.settings import Settings

MakeEngine = Callable[[Bundle, Settings, CurrentLive], Engine]


def load_generation(
    directory: Path, settings: Settings, metrics: Metrics, make: MakeEngine | None = None
) -> Generation:
    """Read, verify, load and warm a bundle; for a thread of its own. make: a warm engine, None:
    as ``warm_engine`` does, in this process.

    Raises BundleError or ProviderError, each a clear sentence. Where ``settings.verify`` is
    ``background``, files that are mapped are left for ``verify_mapped``.
    """
    bundle = read(directory, FILES.MAPPED if settings.verify == "background" else ())
    rest()
    items = LiveItems(bundle)
    engine = (make or warm_engine)(bundle, settings, lambda: items.live)
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
