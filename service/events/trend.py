"""Trend: what is used most of late, counted from events as they come."""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from heapq import nlargest
from typing import Any, NamedTuple

import numpy as np

from models.contract.fading import Fading
from models.contract.types import FloatArray

MOST = 100_000  # items that are counted
_TOLD = 1_000
_GROUPS, _OF_GROUP = 500, 1_000  # that are told apart, and items that are counted of each
_EVERY = 1.0  # seconds between looks at what is on top


class Trending(NamedTuple):
    """Ids, and how often each was used, what is longer ago counting less; as of a time (unix s)."""

    item_ids: list[str]
    uses_J: FloatArray
    now: float


NOTHING = Trending([], np.empty(0, np.float32), 0.0)


class Trend:
    """Of so many items: those used longest ago are forgotten. half_life: seconds."""

    def __init__(
        self, most: int, half_life: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.most = most
        self._fading = Fading(half_life, self._scale)
        self._clock = clock
        self._uses: OrderedDict[str, float] = OrderedDict()
        self._told, self._told_at, self._new = NOTHING, -np.inf, False

    def use(self, item_id: str, at: float) -> None:
        """Somebody took it."""
        self._uses[item_id] = self._uses.get(item_id, 0.0) + self._fading.weight(at)
        self._uses.move_to_end(item_id)
        self._new = True
        if len(self._uses) > self.most:
            self._uses.popitem(last=False)

    def fade_by(self, half_life: float) -> None:
        """From now on."""
        self._fading.fade_by(half_life)

    def top(self) -> Trending:
        """The most used; the same object for as long as it is not looked at anew."""
        if self._new and self._clock() - self._told_at >= _EVERY:
            best = nlargest(_TOLD, self._uses.items(), key=lambda pair: pair[1])
            uses_J = np.array([uses for _, uses in best]) / self._fading.whole
            ids = [item_id for item_id, _ in best]
            self._told = Trending(ids, uses_J.astype(np.float32), self._fading.now)
            self._told_at, self._new = self._clock(), False
        return self._told

    def _scale(self, factor: float) -> None:
        for item_id in self._uses:
            self._uses[item_id] *= factor


class Groups:
    """Trends of those who have something in common: an event's ``context`` says what.

    Of very many groups those that did nothing for longest are forgotten, so that what only one
    has, such as a session, costs the others nothing.
    """

    def __init__(self, half_life: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._half_life, self._clock = half_life, clock
        self._trends: OrderedDict[tuple[str, object], Trend] = OrderedDict()

    def use(self, item_id: str, at: float, context: Mapping[str, Any]) -> None:
        """Somebody of these groups took it."""
        for group in _groups(context):
            trend = self._trends.get(group)
            if trend is None:
                trend = self._trends[group] = Trend(_OF_GROUP, self._half_life, self._clock)
            trend.use(item_id, at)
            self._trends.move_to_end(group)
        while len(self._trends) > _GROUPS:
            self._trends.popitem(last=False)

    def fade_by(self, half_life: float) -> None:
        """From now on."""
        self._half_life = half_life
        for trend in self._trends.values():
            trend.fade_by(half_life)

    def top(self, context: Mapping[str, Any]) -> list[Trending]:
        """The most used, of each of these groups that is known."""
        found = (self._trends.get(group) for group in _groups(context))
        return [trend.top() for trend in found if trend is not None]


def _groups(context: Mapping[str, Any]) -> list[tuple[str, object]]:
    """Numbers with a fraction, and nothing, are no group."""
    return [pair for pair in context.items() if isinstance(pair[1], str | bool | int)]
