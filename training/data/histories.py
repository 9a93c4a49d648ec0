"""UserHistories as two flat arrays, and the held-out items they are evaluated on."""

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from models.contract.ragged import before_each, nth_of_each
from training.processes import Process


class Part(IntEnum):
    """Which part of the split an interaction belongs to; within a user, parts never go back."""

    TRAIN = 0
    VALIDATION = 1
    TEST = 2


@dataclass(frozen=True)
class Histories:
    """All users' interactions, user after user, each oldest first.

    offsets: (users + 1,), where each user starts; items, parts: (interactions,); weights, too: what
    each counts in a loss, None where all count alike.
    """

    offsets: NDArray[np.int64]
    items: NDArray[np.int32]
    parts: NDArray[np.uint8]
    weights: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, user: int) -> NDArray[np.int32]:
        return self.items[self.offsets[user] : self.offsets[user + 1]]

    def users(self) -> NDArray[np.int64]:
        """(interactions,): whose each is."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def first_uses(self) -> NDArray[np.bool_]:
        """(interactions,): whether the user had not had the item before."""
        return first_of_each(self.users(), self.items)

    def uses(self, catalogue_size: int) -> NDArray[np.int64]:
        """(N,): how often each item was used."""
        return np.bincount(self.items, minlength=catalogue_size)

    def up_to(self, part: Part) -> Self:
        """Only what is not later than ``part``; users keep their index."""
        return self.where(self.parts <= part)

    def where(self, kept: NDArray[np.bool_]) -> Self:
        """Only some of the interactions; users keep their index."""
        offsets = before_each(kept)[self.offsets]
        weights = None if self.weights is None else self.weights[kept]
        return replace(
            self, offsets=offsets, items=self.items[kept], parts=self.parts[kept], weights=weights
        )


def first_of_each(user: NDArray[np.integer], item: NDArray[np.integer]) -> NDArray[np.bool_]:
    """(interactions,): whether each is its user's first with its item."""
    pair = user.astype(np.uint64) << np.uint64(32) | item.astype(np.uint64)
    first = np.zeros(len(pair), np.bool_)
    first[np.unique(pair, return_index=True)[1]] = True
    return first


class Windows(NamedTuple):
    """Slices ``items[start : start + length]`` of the interactions, each within one user."""

    start: NDArray[np.int64]
    length: NDArray[np.int64]

    def latest(self, most: int) -> "Windows":
        """Only the last ``most`` items of each."""
        length = np.minimum(self.length, most)
        return Windows(self.start + self.length - length, length)


class Laid(NamedTuple):
    """Windows laid end to end, one entry an item: (J,) each."""

    row: NDArray[np.int64]  # which window
    at: NDArray[np.int64]  # where among the interactions


class Steps(NamedTuple):
    """Windows laid end to end, one entry an item: (J,) each."""

    row: NDArray[np.int64]  # which window
    back: NDArray[np.int64]  # steps before the window's last item
    item: NDArray[np.int32]


def laid_out(windows: Windows) -> Laid:
    """Where every item of every window is."""
    row = np.repeat(np.arange(len(windows.start)), windows.length)
    return Laid(row, windows.start[row] + nth_of_each(windows.length))


def unroll(items: NDArray[np.int32], windows: Windows) -> Steps:
    """Every item of every window."""
    row, at = laid_out(windows)
    return Steps(row, (windows.start + windows.length)[row] - 1 - at, items[at])


class EvaluationSet(NamedTuple):
    """One held-out item a user: history ``items[start : start + length]``, then ``target``."""

    items: NDArray[np.int32]
    user: NDArray[np.int64]
    start: NDArray[np.int64]
    length: NDArray[np.int64]
    target: NDArray[np.int32]

    def sample(self, most: int, seed: int) -> "EvaluationSet":
        """At most ``most`` users, chosen by ``seed``."""
        if len(self.user) <= most:
            return self
        return self.take(np.sort(np.random.default_rng(seed).permutation(len(self.user))[:most]))

    def share(self, process: Process) -> "EvaluationSet":
        """The users that this one of several processes evaluates."""
        return self.take(np.arange(process.rank, len(self.user), process.count))

    def had_before(self) -> NDArray[np.bool_]:
        """(E,): whose target lies in the history already."""
        steps = unroll(self.items, Windows(self.start, self.length))
        again = steps.row[steps.item == self.target[steps.row]]
        return np.bincount(again, minlength=len(self.user)) > 0

    def beside(self, other: "EvaluationSet") -> "EvaluationSet":
        """Rows of both, which are of the same interactions."""
        return EvaluationSet(
            self.items,
            np.concatenate([self.user, other.user]),
            np.concatenate([self.start, other.start]),
            np.concatenate([self.length, other.length]),
            np.concatenate([self.target, other.target]),
        )

    def take(self, kept: NDArray[np.int64]) -> "EvaluationSet":
        """Only these rows."""
        return EvaluationSet(
            self.items, self.user[kept], self.start[kept], self.length[kept], self.target[kept]
        )


def targets(
    histories: Histories, part: Part, *, filter_seen: bool = False, every: bool = False
) -> EvaluationSet:
    """Each user's first interaction of ``part`` is held out, or ``every``; all before it is the
    history.

    Users without one, or with nothing before it, are left out. Where that is everybody, as where
    users are sessions and none goes on from one part to the next, it is their second of ``part``.
    filter_seen: an item that its user had before is no target, as it is never recommended.
    """
    user_of = histories.users()
    at = np.flatnonzero(histories.parts == part)
    begun = at[at > histories.offsets[user_of[at]]]
    first = begun if every else at[np.unique(user_of[at], return_index=True)[1]]
    first = first[first > histories.offsets[user_of[first]]]
    if not len(first):
        first = begun[np.unique(user_of[begun], return_index=True)[1]]
    user = user_of[first]
    start = histories.offsets[user]
    found = EvaluationSet(histories.items, user, start, first - start, histories.items[first])
    return found.take(np.flatnonzero(histories.first_uses()[first])) if filter_seen else found
