"""Where logs of a service lie."""

from pathlib import Path

from models.contract.manifest import MANIFEST
from service.log.file_log import FileLog
from service.log.log import Kind, Log, T
from service.log.redis_log import RedisLog
from service.settings import Settings


def open_log(settings: Settings, kind: Kind[T], folder: Path) -> Log[T]:
    """In the Redis that is set, or a folder. Nothing is touched before it is read or written."""
    if settings.log_url is not None:
        return RedisLog(str(settings.log_url), kind)
    return FileLog(folder, kind)


def live_folder(settings: Settings) -> Path:
    """Of changes to the catalogue."""
    return settings.live or _beside(settings.bundle, "live")


def events_folder(settings: Settings) -> Path:
    """Of what users did."""
    return settings.events or _beside(settings.bundle, "events")


def _beside(bundle: Path, name: str) -> Path:
    """In the output folder. Of one bundle, it lies beside it: bundles never change."""
    if (bundle / MANIFEST).exists():
        one = bundle.resolve()
        return one.with_name(f"{one.name}-{name}")
    return bundle / name
