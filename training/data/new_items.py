"""Items that training is not shown, so as to see how a model fares with new ones.

Leave-one-out knows no time: a share of the items is drawn for each of validation and test, and
taken out of all histories. A cut through time needs no such thing: items come as they came.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from models.contract.ragged import before_each
from training.data.histories import EvaluationSet, Histories, Part, targets
from training.data.split import leave_one_out

_BEFORE = 2  # known items before a user's first new one, for the history to say something


class Mixed(NamedTuple):
    """What users take next, known or new, and what there is to be taken.

    new_N: items that are new then. hidden_N: those that are not in the catalogue yet. Of those that
    nobody ever used see ``NewItems.unused_N``.
    """

    held_out: EvaluationSet
    new_N: NDArray[np.bool_]
    hidden_N: NDArray[np.bool_]

    def taken(self) -> NDArray[np.bool_]:
        """(E,): whether the target is a new item."""
        taken_E: NDArray[np.bool_] = self.new_N[self.held_out.target]
        return taken_E

    def sample(self, most: int, seed: int) -> Self:
        """At most ``most`` of them, chosen by ``seed``."""
        return self._replace(held_out=self.held_out.sample(most, seed))


@dataclass(frozen=True)
class NewItems:
    """Histories with and without new items.

    whole: as users left them. known: what training is shown, and known items are evaluated on.
    new_in_N: the part that an item is new in; TRAIN, where it is not.
    """

    whole: Histories
    known: Histories
    new_in_N: NDArray[np.uint8]
    timed: bool

    @classmethod
    def as_they_came(cls, histories: Histories, catalogue_size: int) -> Self:
        """Of a cut through time: an item is new in the part that it is first used in."""
        new_in_N = np.full(catalogue_size, Part.TEST, np.uint8)
        np.minimum.at(new_in_N, histories.items, histories.parts)
        used_N = histories.uses(catalogue_size) > 0
        return cls(histories, histories, np.where(used_N, new_in_N, Part.TRAIN), timed=True)

    @classmethod
    def drawn(cls, histories: Histories, catalogue_size: int, share: float, seed: int) -> Self:
        """Of leave-one-out: a share of the used items for each of validation and test."""
        new_in_N = np.full(catalogue_size, Part.TRAIN, np.uint8)
        used = np.random.default_rng(seed).permutation(np.unique(histories.items))
        each = round(share * len(used))
        new_in_N[used[:each]] = Part.TEST
        new_in_N[used[each : 2 * each]] = Part.VALIDATION
        return cls(histories, _without(histories, new_in_N), new_in_N, timed=False)

    def unused_N(self) -> NDArray[np.bool_]:
        """(N,): items that nobody ever used: new in every part, and taken in none."""
        unused_N: NDArray[np.bool_] = self.whole.uses(len(self.new_in_N)) == 0
        return unused_N

    def mixed(self, part: Part, *, filter_seen: bool) -> Mixed:
        """Each user's held-out item, as it came; of a cut through time, every event of ``part``."""
        if self.timed:
            every = targets(self.whole, part, filter_seen=filter_seen, every=True)
            return self._mixed(every, part, filter_seen=False)
        new = self._known_before(np.flatnonzero(self.whole.parts == part), part, before=1)
        known = targets(self.known, part)
        known = known.take(np.flatnonzero(~np.isin(known.user, new.user)))
        return self._mixed(known.beside(new), part, filter_seen)

    def cold(self, part: Part) -> Mixed:
        """New items alone: each user's first, after two known ones; in time, all of ``part``."""
        if self.timed:
            mixed = self.mixed(part, filter_seen=False)
            return mixed._replace(held_out=mixed.held_out.take(np.flatnonzero(mixed.taken())))
        at = np.arange(len(self.whole.items))
        found = self._known_before(at, part, before=_BEFORE)
        first = np.unique(found.user, return_index=True)[1]
        return self._mixed(found.take(first), part, filter_seen=False)

    def warm(self, part: Part, *, filter_seen: bool) -> Mixed:
        """Each user's held-out item of what training is shown; in time, whatever it is."""
        return self._mixed(targets(self.known, part), part, filter_seen)

    def _mixed(self, held_out: EvaluationSet, part: Part, filter_seen: bool) -> Mixed:
        if filter_seen:
            held_out = held_out.take(np.flatnonzero(~held_out.had_before()))
        other = Part.VALIDATION if part == Part.TEST else Part.TEST
        unknown_N = self.new_in_N != Part.TRAIN
        hidden_N = self.new_in_N == other
        if self.timed and part == Part.TEST:
            hidden_N = np.zeros_like(hidden_N)  # what came with validation is there
        return Mixed(held_out, unknown_N & ~hidden_N, hidden_N)

    def _known_before(self, at: NDArray[np.int64], part: Part, before: int) -> EvaluationSet:
        """Those of the interactions ``at`` that are of items new in ``part``, behind known ones."""
        at = at[self.new_in_N[self.whole.items[at]] == part]
        user = np.searchsorted(self.whole.offsets, at, side="right") - 1
        kept = self.new_in_N[self.whole.items] == Part.TRAIN
        before_J = before_each(kept)
        length = before_J[at] - before_J[self.whole.offsets[user]]
        found = EvaluationSet(
            self.known.items, user, self.known.offsets[user], length, self.whole.items[at]
        )
        return found.take(np.flatnonzero(length >= before))


def _without(histories: Histories, new_in_N: NDArray[np.uint8]) -> Histories:
    """Known items alone, split anew; users keep their index."""
    known = histories.where(new_in_N[histories.items] == Part.TRAIN)
    return replace(known, parts=leave_one_out(known.users().astype(np.uint32)).part)
