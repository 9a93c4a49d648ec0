"""Which log of changes a service has."""

from models.contract.manifest import MANIFEST
from service.catalogue.change import Change, decode, encode
from service.catalogue.fold import Fold
from service.log.file_log import FileLog
from service.log.log import Kind, Log
from service.log.redis_log import RedisLog
from service.settings import Settings

CHANGE_LOG: Kind[Change] = Kind("changes.log", "bbqrec:log", encode, decode, Fold)


def open_log(settings: Settings) -> Log[Change]:
    """The Redis that is set, or a folder. Nothing is touched before it is read or written.

    Of one bundle, which is no output folder, it lies beside it: bundles never change.
    """
    if settings.log_url is not None:
        return RedisLog(str(settings.log_url), CHANGE_LOG)
    if settings.live is not None:
        return FileLog(settings.live, CHANGE_LOG)
    if (settings.bundle / MANIFEST).exists():
        one = settings.bundle.resolve()
        return FileLog(one.with_name(f"{one.name}-live"), CHANGE_LOG)
    return FileLog(settings.bundle / "live", CHANGE_LOG)
