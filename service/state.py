"""The one mutable thing of the service: which model is current, and whether it is draining."""

from dataclasses import dataclass
from typing import Literal

from starlette.exceptions import HTTPException

from service.metrics import Metrics
from service.recommender import Recommender
from service.settings import Settings


@dataclass
class State:
    """Made by ``create_app``; a request reads ``recommender`` once and keeps what it got."""

    settings: Settings
    metrics: Metrics
    recommender: Recommender | None = None
    draining: bool = False

    def current(self) -> Recommender:
        """The model in service. Raises 503 before one is loaded."""
        if self.recommender is None:
            raise HTTPException(503, "no model is loaded yet", {"retry-after": "1"})
        return self.recommender

    def status(self) -> Literal["ok", "loading", "draining"]:
        """What readiness says."""
        if self.draining:
            return "draining"
        return "ok" if self.recommender is not None else "loading"
