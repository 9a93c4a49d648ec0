"""Which log of changes a service has."""

from models.contract.manifest import MANIFEST
from service.catalogue.change_log import ChangeLog
from service.catalogue.file_log import FileLog
from service.catalogue.redis_log import RedisLog
from service.settings import Settings


def open_log(settings: Settings) -> ChangeLog:
    """The Redis that is set, or a folder. Nothing is touched before it is read or written.

    Of one bundle, which is no output folder, it lies beside it: bundles never change.
    """
    if settings.log_url is not None:
        return RedisLog(str(settings.log_url))
    if settings.live is not None:
        return FileLog(settings.live)
    if (settings.bundle / MANIFEST).exists():
        one = settings.bundle.resolve()
        return FileLog(one.with_name(f"{one.name}-live"))
    return FileLog(settings.bundle / "live")
