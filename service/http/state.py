"""The one mutable thing of the service: which model is current, and whether it is on its way out.

A request reads ``recommender`` once and keeps what it got, so another may be put in its place.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from service.generation.recommender import Recommender
from service.metrics import Metrics
from service.settings import Settings

log = logging.getLogger("bbqrec")


class NotReadyError(Exception):
    """No model is in service yet, or no longer."""


@dataclass
class State:
    """What ``create_app`` wires and handlers read."""

    settings: Settings
    metrics: Metrics
    recommender: Recommender | None = None
    draining: bool = False
    fault: Exception | None = None  # why no model could be loaded: the process ends with it
    reload: Callable[[], object] = lambda: log.warning("reload: not supported")  # on SIGHUP

    def current(self) -> Recommender:
        """The model in service."""
        if self.recommender is None:
            raise NotReadyError("no model is loaded")
        return self.recommender

    def status(self) -> Literal["ok", "loading", "draining"]:
        """What readiness says."""
        if self.draining:
            return "draining"
        return "loading" if self.recommender is None else "ok"
