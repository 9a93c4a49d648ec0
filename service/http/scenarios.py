"""Scenarios: named settings of recommendations, in a TOML file that may change while it serves.

    [cart]
    k = 4
    exclude_seen = true
    diversify = { by = "category", at_most = 1 }
    boost = [{ filter = { margin = "high" }, factor = 1.5 }]

Each table is a request, without whom it is for.
"""

import asyncio
import logging
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from service.generation.registry import Registry
from service.http.filter_schema import filter_of
from service.http.json_route import fault
from service.http.problems import said
from service.http.recommend_schemas import RecommendRequest
from service.metrics import Metrics

log = logging.getLogger("bbqrec")
_LOOK = 0.5  # seconds
_NOT_SET = ("history", "user_id", "after", "scenario", "rank")
_MOST_BYTES = 2**20


class _Attributes(NamedTuple):
    """What items have: of these names any value, of those a number."""

    names: frozenset[str]
    numbered: frozenset[str]


class ScenarioError(Exception):
    """The file cannot be used: which table and field, and why."""


class Scenarios:
    """As the file last was in order, for what the items in service have. Without a file there are
    none.
    """

    def __init__(
        self,
        path: Path | None,
        limits: type[RecommendRequest],
        metrics: Metrics,
        registry: Registry,
    ) -> None:
        self.path, self.limits, self.metrics, self.registry = path, limits, metrics, registry
        self.fault: str | None = None
        self._stamp = self._look(), self._catalogue()
        self.by_name = self._read()

    def applied(self, request: RecommendRequest) -> RecommendRequest:
        """The request in its scenario. Raises RequestValidationError where there is none."""
        if request.scenario is None:
            return request
        found = self.by_name.get(request.scenario)
        if found is None:
            known = ", ".join(sorted(self.by_name)) or "none"
            raise fault(f"there is no such scenario; known: {known}", "scenario")
        return request.within(found)

    async def follow(self) -> None:
        """Read the file anew whenever it, or what items have, changes; what is at fault changes
        nothing.
        """
        while self.path is not None:
            await asyncio.sleep(_LOOK)
            stamp = self._look(), self._catalogue()
            if stamp != self._stamp:
                self._stamp = stamp
                self._reload()

    def _reload(self) -> None:
        before = self.fault
        try:
            found = self._read()
            self._check(found)
            self.by_name, self.fault = found, None
            log.info("scenarios: %s", ", ".join(sorted(self.by_name)) or "none")
        except ScenarioError as error:
            self.fault = str(error)
            if self.fault != before:
                log.error("scenarios stay as they were: %s", error)
        self.metrics.scenarios_refused.set(self.fault is not None)

    def _catalogue(self) -> _Attributes | None:
        """Attributes that items have; None while none are known."""
        generation = self.registry.get("current")
        if generation is None:
            return None
        matching = generation.live.items.matching
        return _Attributes(frozenset(matching.names), frozenset(matching.numbered))

    def _check(self, scenarios: Mapping[str, RecommendRequest]) -> None:
        """Raises ScenarioError for an attribute that no item has, or of which none has a number
        where a range is asked: every request would fail.
        """
        if (items := self._catalogue()) is None:
            return
        for name, scenario in scenarios.items():
            place = f"{self.path}: [{name}]"
            for field, attribute in scenario.attributes():
                if attribute not in items.names:
                    raise ScenarioError(f"{place} {field}: no item has an attribute {attribute!r}")
            for field, conditions in scenario.filters():
                wanted = filter_of(conditions)
                if wanted and (lacking := {*wanted.ranges} - items.numbered):
                    raise ScenarioError(f"{place} {field}: no item has a number {min(lacking)!r}")

    def _look(self) -> tuple[int, int, int] | None:
        try:
            found = self.path.stat() if self.path is not None else None
        except OSError:
            return None
        return found and (found.st_ino, found.st_size, found.st_mtime_ns)

    def _read(self) -> Mapping[str, RecommendRequest]:
        """Raises ScenarioError."""
        if self.path is None:
            return {}
        try:
            with self.path.open("rb") as file:
                text = file.read(_MOST_BYTES + 1)
            if len(text) > _MOST_BYTES:
                raise ScenarioError(f"{self.path} is larger than {_MOST_BYTES} bytes")
            tables = tomllib.loads(text.decode("utf-8"), parse_float=_finite)
        except OSError as error:
            raise ScenarioError(f"{self.path} cannot be read: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise ScenarioError(f"{self.path}: {error}") from error
        return {name: self._scenario(name, table) for name, table in tables.items()}

    def _scenario(self, name: str, table: Any) -> RecommendRequest:
        place = f"{self.path}: [{name}]"
        if not isinstance(table, dict):
            raise ScenarioError(f"{place} should be a table")
        if of_request := [field for field in _NOT_SET if field in table]:
            raise ScenarioError(f"{place} {of_request[0]}: is for a request to say")
        try:
            # ``history`` counts as set by the request, which goes first
            return self.limits.model_validate({"history": [], "scenario": name, **table})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = ".".join(map(str, first["loc"])) or name
            raise ScenarioError(f"{place} {field}: {said(first)}") from error


def _finite(text: str) -> float:
    """TOML knows nan and inf; nothing here does."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no number")
    return number
