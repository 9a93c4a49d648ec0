"""Which slots are for new items, which items these are, and with what odds."""

import math
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from service.rules.rules import Explore

MOST = 100  # of the new items, the best for this history: of these some are drawn


class Drawn(NamedTuple):
    """A candidate, and with what odds it, and no other, was drawn for its slot."""

    candidate: int
    odds: float


class Explorer:
    """Of n slots n * share, rounded up or down, are explored, each as likely as any other.

    That is systematic sampling: one number decides for all slots. weights: of each candidate, how
    likely it is beside the others; as they are by ``Explore.by``.
    """

    def __init__(
        self,
        explore: Explore | None,
        candidates: Sequence[int],
        weights: Sequence[float],
        dice: random.Random,
    ) -> None:
        self.share = explore.share if explore else 0.0
        self.alike = explore is None or explore.by == "random"
        self.size = len(candidates)
        self.dice = dice
        self._left = dict(zip(candidates, weights, strict=True))
        self._offset = dice.random()

    def wants(self, slot: int) -> bool:
        """Whether it is for a new item, and there is one. ``slot`` counts from 0."""
        before, after = (self._offset + self.share * n for n in (slot, slot + 1))
        return bool(self._left) and math.floor(after) > math.floor(before)

    def draw(self, admits: Callable[[int], bool]) -> Drawn | None:
        """One that is admitted; those that are not are never drawn again."""
        while self._left:
            weights = [*self._left.values()]
            (candidate,) = self.dice.choices([*self._left], weights)
            among = self.size if self.alike else sum(weights) / self._left[candidate]
            del self._left[candidate]
            if admits(candidate):
                return Drawn(candidate, self.share / among)
        return None

    def tells_odds(self, slots: int) -> bool:
        """Whether odds are those with which an item is in a slot, whatever was drawn before: where
        there is one for every slot that may be explored; and, unless all are alike, in one slot at
        most, for in a second one they depend on what the first one got.
        """
        explored = math.ceil(self.share * slots)
        return self.size >= explored and (self.alike or explored <= 1)

    def odds(self, slot: int, rank: int) -> float:
        """That a slot has the item of this rank among those that are not drawn, both from 0.

        So it is where as many slots before are explored as it is further down, and it itself is
        not: for so much of the numbers that may have decided.
        """
        explored = slot - rank
        low = max(0.0, explored - slot * self.share)
        return max(0.0, min(1.0, explored + 1 - (slot + 1) * self.share) - low)
