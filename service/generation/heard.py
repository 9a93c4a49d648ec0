"""Heard: what events tell a generation's memory, in rows of its catalogue."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.contract.memory import STEPS, Recalled
from models.contract.types import FloatArray
from service.catalogue.live_items import LiveItems
from service.events.transitions import Followers, LiveTransitions
from service.retrieval.live import Live


class _Placed(NamedTuple):
    """Followers, and the rows that they had at a time."""

    followers: Followers
    live: Live
    rows_J: NDArray[np.int64]
    shares_J: FloatArray


class Heard:
    """Weighs live counts as the bundle weighs its own: where it has none, neither has this."""

    def __init__(self, items: LiveItems) -> None:
        self.items = items
        memory = items.bundle.memory
        self.weight, self.decay = (memory.weight, memory.decay) if memory else (0.0, 0.0)
        self._placed: dict[str, _Placed] = {}

    def recall(self, transitions: LiveTransitions, history: Sequence[str]) -> Recalled | None:
        """What has followed the latest items of a history, of late; None where nothing has."""
        if not self.weight:
            return None
        rows, scores = [], []
        for back, item_id in enumerate(reversed(history[-STEPS:])):
            followers = transitions.followers(item_id)
            if followers is not None:
                placed = self._place(item_id, followers)
                rows.append(placed.rows_J)
                scores.append(self.weight * self.decay**back * placed.shares_J)
        if not rows:
            return None
        rows_J, place = np.unique(np.concatenate(rows), return_inverse=True)
        scores_J = np.bincount(place, np.concatenate(scores), len(rows_J))
        return Recalled(rows_J, scores_J.astype(np.float32))

    def _place(self, item_id: str, followers: Followers) -> _Placed:
        """Looked up once for as long as neither they nor the catalogue change."""
        placed, live = self._placed.get(item_id), self.items.live
        if placed is None or placed.followers is not followers or placed.live is not live:
            found = [self.items.row(each) for each in followers.item_ids]
            known = np.array([row is not None for row in found], np.bool_)
            rows_J = np.array([row for row in found if row is not None], np.int64)
            placed = _Placed(followers, live, rows_J, followers.shares_J[known])
            self._placed[item_id] = placed
        return placed
