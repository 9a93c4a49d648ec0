"""The slots of an answer, filled from the first to the last."""

import random
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from service.retrieval.rows import Mask
from service.rules.explorer import MOST, Explorer
from service.rules.limits import Facts, Likeness, Limit
from service.rules.parts import Pool
from service.rules.rules import Explore, Rules


class Slot(NamedTuple):
    """What is in it. rules: those that had a part in it. odds: that it is there, where known.
    share: the boost, from 0, of whose items it had to have one.
    """

    candidate: int
    rules: tuple[str, ...] = ()
    explored: bool = False
    odds: float | None = None
    share: int | None = None

    @property
    def by_score(self) -> bool:
        """Whether it has the best item that it may have: it is not pinned, and not drawn."""
        return not self.explored and "pin" not in self.rules


class Slots:
    """One answer of ``k`` items, of a pool whose marks are the boosts', then that of new items.

    pins: candidates by slot, from 0.
    """

    def __init__(
        self,
        k: int,
        pool: Pool,
        pins: Mapping[int, int],
        rules: Rules,
        facts: Facts,
        dice: random.Random,
    ) -> None:
        self.k, self.pool, self.rules = k, pool, rules
        self.pins = dict(pins)
        rows = pool.rows_J.tolist()
        strength = rules.diversify.strength if rules.diversify else 0.0
        self.limit = Limit(rules.diversify, facts)
        self.likeness = Likeness(strength, pool.scores_J, rows, facts)
        self.open_J = np.ones(len(pool.rows_J), np.bool_)
        self.open_J[[*pins.values()]] = False
        self.explorer = _explorer(rules.explore, k, pool, self.open_J, facts, dice)
        self.placed: list[Slot] = []

    def fill(self) -> list[Slot]:
        """All of them, or as many as there is something for; a pin that is left over comes last."""
        for slot in range(self.k):
            taken = self._taken(slot)
            if taken is None:
                break
            self._place(taken)
        for _, candidate in sorted(self.pins.items())[: self.k - len(self.placed)]:
            self._place(Slot(candidate, ("pin",)))
        return self._with_odds()

    def _taken(self, slot: int) -> Slot | None:
        if slot in self.pins:
            return Slot(self.pins.pop(slot), ("pin",))
        if self.explorer.wants(slot) and (drawn := self.explorer.draw(self._admits)):
            return Slot(drawn.candidate, ("explore",), explored=True, odds=drawn.odds)
        promoted = self._promoted(slot)
        return promoted if promoted is not None else self._free()

    def _promoted(self, slot: int) -> Slot | None:
        """Of the first boost whose share would be missed."""
        for boost, asked in enumerate(self.rules.boosts):
            of_boost_J = self.pool.marks_JM[:, boost]
            there = sum(of_boost_J[each.candidate] for each in self.placed)
            if there < int(asked.share * (slot + 1) + 0.5):
                found = self._best(of_boost_J)
                if found is not None:
                    return Slot(found, (f"boost {boost + 1}",), share=boost)
        return None

    def _free(self) -> Slot | None:
        found = self._best(np.ones(len(self.pool.rows_J), np.bool_))
        if found is None:
            return None
        if self.rules.diversify is None:
            return Slot(found)
        better_J = self.pool.scores_J > self.pool.scores_J[found]
        better_J[[each.candidate for each in self.placed]] = False
        better_J[[*self.pins.values()]] = False
        return Slot(found, ("diversify",) if better_J.any() else ())

    def _best(self, among_J: Mask) -> int | None:
        """The best that is admitted; what is not, now, is never again."""
        while True:
            worth_J = np.where(self.open_J & among_J, self.likeness.worth_J, -np.inf)
            best = int(worth_J.argmax()) if len(worth_J) else -1
            if best < 0 or worth_J[best] == -np.inf:
                return None
            if self._admits(best):
                return best
            self.open_J[best] = False

    def _admits(self, candidate: int) -> bool:
        row = int(self.pool.rows_J[candidate])
        return bool(self.open_J[candidate]) and self.limit.admits(row)

    def _place(self, slot: Slot) -> None:
        self.open_J[slot.candidate] = False
        self.limit.note(int(self.pool.rows_J[slot.candidate]))
        self.likeness.note(slot.candidate)
        marks_M = self.pool.marks_JM[slot.candidate]
        boosts = enumerate(self.rules.boosts)
        lifted = [f"boost {n + 1}" for n, each in boosts if marks_M[n] and each.factor != 1]
        self.placed.append(slot._replace(rules=(*dict.fromkeys([*lifted, *slot.rules]),)))

    def _with_odds(self) -> list[Slot]:
        """None where they are not known: other rules than a boost's factor move items, too."""
        if self.rules.explore is None:
            return self.placed
        others = self.rules.diversify or self.rules.pins or any(b.share for b in self.rules.boosts)
        if others or not self.explorer.tells_odds(self.k):
            return [each._replace(odds=None) for each in self.placed]
        told, rank = [], 0
        for slot, each in enumerate(self.placed):
            if each.explored:
                told.append(each)
            else:
                told.append(each._replace(odds=self.explorer.odds(slot, rank)))
                rank += 1
        return told


def _explorer(
    explore: Explore | None, k: int, pool: Pool, open_J: Mask, facts: Facts, dice: random.Random
) -> Explorer:
    """Draws from new items that would not be shown anyway: those beyond the best ``k``."""
    if explore is None:
        return Explorer(None, (), (), dice)
    new_J = open_J & pool.marks_JM[:, -1]
    candidates = [n for n in np.flatnonzero(new_J).tolist() if n >= k][:MOST]
    rows = pool.rows_J[candidates].tolist()
    rare_J = (
        1 / np.sqrt(1 + facts.uses(rows)) if explore.by == "uncertainty" else np.ones(len(rows))
    )
    return Explorer(explore, candidates, rare_J.tolist(), dice)
