"""Bundles that should serve and cannot, by the role that they should have."""

import logging
import math
import time
from pathlib import Path
from typing import NamedTuple

from models.contract.store import Role
from service.metrics import Metrics

log = logging.getLogger("bbqrec")
_AGAIN = 30.0  # seconds until a bundle that failed is tried again, unless somebody asks


class Failure(NamedTuple):
    """One of them."""

    directory: Path
    reason: str
    again: float  # when to try it again, of the monotonic clock


class Failures:
    """Says each once, in the log and in a metric, and when it is worth another try."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self._by_role: dict[Role, Failure] = {}

    def reasons(self) -> dict[str, str]:
        """Why what should serve does not."""
        return {role: failure.reason for role, failure in self._by_role.items()}

    def waits(self, role: Role, directory: Path) -> bool:
        """It is this one that failed, and its time has not come."""
        failure = self._by_role.get(role)
        if failure is None or failure.directory != directory:
            return False
        return time.monotonic() < failure.again

    def add(self, role: Role, directory: Path, error: Exception, *, final: bool = False) -> None:
        """It failed; ``final``: it is not tried again by itself."""
        known, reason = self._by_role.get(role), f"{directory.name}: {error}"
        again = math.inf if final else time.monotonic() + _AGAIN
        self._by_role[role] = Failure(directory, reason, again)
        self.metrics.load_failed(role)
        if known is None or known.reason != reason:
            log.error("%s stays as it is: %s", role, reason)

    def forget(self, role: Role) -> bool:
        """What should serve does; whether that is news."""
        if self._by_role.pop(role, None) is None:
            return False
        self.metrics.load_mended(role)
        return True

    def retry(self) -> None:
        """Somebody asks: try all of them again."""
        self._by_role = {
            role: failure._replace(again=-math.inf) for role, failure in self._by_role.items()
        }
