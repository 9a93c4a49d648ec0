"""What handlers read: the generations in service, and whether the service is on its way out."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from models.contract.store import ROLES
from service.events.taking import Events
from service.generation.follower import Follower
from service.generation.generation import Generation, Lease
from service.generation.recommender import Recommendation
from service.generation.registry import Registry
from service.generation.shadow import Shadow
from service.generation.writer import Writer
from service.http.caller import Caller
from service.http.json_route import fault
from service.http.scenarios import Scenarios
from service.http.schemas import WorkerState
from service.metrics import Metrics
from service.settings import Settings


@dataclass
class State:
    """What ``create_app`` wires and handlers read."""

    settings: Settings
    metrics: Metrics
    registry: Registry
    follower: Follower
    shadow: Shadow
    writer: Writer
    events: Events
    scenarios: Scenarios
    tell_others: Callable[[], object]  # workers, that they look at the folder, too
    draining: bool = False
    fault: Exception | None = None  # why no model could be loaded: the process ends with it

    def note_fault(self, beginning: asyncio.Task[None]) -> None:
        """What a start that nobody waits for has come to."""
        if not beginning.cancelled() and isinstance(fault := beginning.exception(), Exception):
            self.fault = fault

    def lease(self, caller: Caller, user_id: str | None = None) -> Lease:
        """Who answers: the one asked for, else by who asks.

        Raises NotReadyError, RequestValidationError for a role that there is not.
        """
        if caller.role is not None:
            if caller.role not in ROLES:  # a slip of the caller's: no failure of ours
                raise fault(f"is none of {', '.join(ROLES)}", "x-generation")
            return self.registry.lease_role(caller.role)
        return self.registry.lease(user_id or caller.key)

    def note(
        self, generation: Generation, found: Recommendation, seconds: float, *, plain: bool
    ) -> None:
        """Count what was answered. ``plain``: nothing that was asked for kept the best away."""
        self.metrics.time_answer(self.registry.role_of(generation), seconds)
        if found.fallback is not None:
            self.metrics.fallbacks.labels(found.fallback).inc()
        generation.showing.note(found, plain=plain)

    def workers(self) -> list[WorkerState]:
        """What every process serves."""
        return [
            WorkerState(**posted.model_dump(exclude={"directories"}))
            for posted in self.follower.board.read()
        ]

    def status(self) -> Literal["ok", "loading", "draining"]:
        """What readiness says."""
        if self.draining:
            return "draining"
        current = self.registry.get("current")
        return "loading" if current is None or current.batcher.away else "ok"
