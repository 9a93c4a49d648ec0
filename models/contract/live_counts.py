"""LiveTransitions: which items follow which, counted from events as they come.

What a bundle's memory counted when it was trained, counted on: see docs/method.md, 4.
"""

from collections import OrderedDict
from collections.abc import Sequence
from heapq import nlargest
from typing import NamedTuple

import numpy as np

from models.contract.fading import Fading
from models.contract.memory import FALL, REACH
from models.contract.types import FloatArray

HALF_LIFE = 14 * 86_400.0  # seconds, unless an operator says otherwise
PAIRS = 500_000  # that are counted, some 100 bytes each
_MOST = 50  # followers of an item that are told
_KEPT = 4 * _MOST  # that are counted: the rarest of more are forgotten
_FADED = 1.02  # times: what has faded by more is told anew
_FEW = 10.0  # times: what follows less often than that is not worth a whole


class Followers(NamedTuple):
    """What followed an item of late: ids, and what each is worth beside the most frequent, 0 to 1.

    Replaced by another when there is something new, and when it has faded. whole: what an event of
    then weighed.
    """

    item_ids: list[str]
    shares_J: FloatArray
    whole: float


class LiveTransitions:
    """Counts of at most ``most_pairs`` pairs: items that went longest without one are forgotten.

    half_life: seconds in which a count halves.
    """

    def __init__(self, most_pairs: int, half_life: float) -> None:
        self.most_pairs = most_pairs
        self._fading = Fading(half_life, self._scale)
        self._pairs = 0
        self._counts: OrderedDict[str, dict[str, float]] = OrderedDict()
        self._told: dict[str, Followers] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def step(self, history: Sequence[str], at: int, time: float) -> None:
        """The item at that place of a history is new there: it follows those before it.

        Each step of distance counts less; what came after it in time is not told anew.
        """
        item_id, weight = history[at], self._fading.weight(time)
        for back, earlier in enumerate(reversed(history[max(at - REACH, 0) : at])):
            if earlier != item_id:
                self._count(earlier, item_id, weight * FALL**back)

    def followers(self, item_id: str) -> Followers | None:
        """The followers of an item; None where nothing has followed it."""
        found = self._told.get(item_id)
        if found is not None and self._fading.whole <= _FADED * found.whole:
            return found
        if (counts := self._counts.get(item_id)) is not None:
            found = self._told[item_id] = self._tell(counts)
        return found

    def _count(self, item_id: str, follower: str, weight: float) -> None:
        counts = self._counts.setdefault(item_id, {})
        self._counts.move_to_end(item_id)
        before = len(counts)
        counts[follower] = counts.get(follower, 0.0) + weight
        if len(counts) > 2 * _KEPT:
            kept = dict(nlargest(_KEPT, counts.items(), key=lambda pair: pair[1]))
            counts = self._counts[item_id] = kept
        self._pairs += len(counts) - before
        self._told.pop(item_id, None)
        while self._pairs > self.most_pairs:
            forgotten, gone = self._counts.popitem(last=False)
            self._pairs -= len(gone)
            self._told.pop(forgotten, None)

    def _tell(self, counts: dict[str, float]) -> Followers:
        best = nlargest(_MOST, counts.items(), key=lambda pair: pair[1])
        now_J = np.array([count for _, count in best]) / self._fading.whole
        shares_J = np.log1p(now_J) / np.log1p(max(now_J[0], _FEW))
        item_ids = [item_id for item_id, _ in best]
        return Followers(item_ids, shares_J.astype(np.float32), self._fading.whole)

    def _scale(self, factor: float) -> None:
        self._told.clear()
        for counts in self._counts.values():
            for follower in counts:
                counts[follower] *= factor
