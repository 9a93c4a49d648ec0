"""What weight counts deserve that are made while a bundle serves, where earlier ones get none.

Heard event by event, as a service hears them: the validation part, by a model that knows what was
before it. Where people buy again what they bought, such counts tell what is new.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.contract.live_counts import HALF_LIFE, PAIRS, LiveTransitions
from models.contract.memory import STEPS, Memory, Recalled
from models.contract.types import FloatArray
from training.data.histories import Histories, Part, Windows
from training.evaluate.intervals import gain
from training.evaluate.ranking import Ranker, ndcg_of, ranks_of

WEIGHTS, DECAYS = (1.0, 2.0, 4.0, 8.0), (0.3, 0.5, 0.7)
_MOST = 20_000  # events, and fewer of a large catalogue:
_SCORES = 4_000_000_000  # that are looked at
_AT_ONCE = 3_000_000  # scores that are held


class Passing(NamedTuple):
    """All interactions, and when each was, unix s."""

    histories: Histories
    times_J: NDArray[np.int64]


class Worth(NamedTuple):
    """As ``Memory`` has them; a weight of 0 where it is not shown that they are worth anything."""

    weight: float = 0.0
    decay: float = 1.0


def memory_of(worth: Worth, size: int) -> Memory:
    """A memory that lists nothing, and gives weight to what is counted while it serves."""
    none = np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(0, np.uint8)
    offsets = np.zeros(size + 1, np.int64)
    return Memory(offsets, *none, decay=worth.decay, weight=worth.weight)


def choose_live(model: Ranker, passing: Passing, size: int, filter_seen: bool) -> Worth:
    """The best weight and decay, if the 95% interval of their gain is above zero."""
    worths = [Worth(*pair) for pair in product(WEIGHTS, DECAYS)]
    ranks: list[list[int]] = [[] for _ in (Worth(), *worths)]
    users: list[int] = []
    for user, target, scores_N, heard in _passing(model, passing, size, filter_seen):
        users.append(user)
        ranks[0].append(_rank(target, scores_N))
        for worth, found in zip(worths, ranks[1:], strict=True):
            scores = [np.float32(worth.weight * worth.decay**back) * s for back, _, s in heard]
            recalled = Recalled.summed([rows_J for _, rows_J, _ in heard], scores)
            there_N = scores_N.copy()
            there_N[recalled.rows_J] += recalled.scores_J
            found.append(_rank(target, there_N))
    if not ranks[0]:
        return Worth()
    alone_E, *with_live = (np.array(found) for found in ranks)
    best = max(range(len(worths)), key=lambda at: ndcg_of(with_live[at]))
    change = gain(with_live[best], alone_E, np.array(users))
    return worths[best] if change is not None and change.low > 0 else Worth()


Heard = list[tuple[int, NDArray[np.int64], FloatArray]]  # steps back, and what followed that item


def _passing(
    model: Ranker, passing: Passing, size: int, filter_seen: bool
) -> Iterator[tuple[int, int, FloatArray, Heard]]:
    """Every event of the validation part in order: user, item, the model's scores, what was
    heard.
    """
    histories, live = passing.histories, LiveTransitions(PAIRS, HALF_LIFE)
    at_E = np.flatnonzero(histories.parts == Part.VALIDATION)
    at_E = at_E[np.argsort(passing.times_J[at_E], kind="stable")][: min(_MOST, _SCORES // size)]
    user_E = histories.users()[at_E]
    start_E = histories.offsets[user_E]
    held = max(1, _AT_ONCE // size)
    for first in range(0, len(at_E), held):
        part = slice(first, first + held)
        begun = np.flatnonzero(at_E[part] > start_E[part])
        windows = Windows(start_E[part][begun], (at_E[part] - start_E[part])[begun])
        scores_BN = model.score(histories.items, windows) if len(begun) else ()
        place = dict(zip(begun.tolist(), range(len(begun)), strict=True))
        each = zip(user_E[part], start_E[part], at_E[part], strict=True)
        for row, (user, start, at) in enumerate(each):
            history, item = histories.items[start:at].tolist(), int(histories.items[at])
            names = [str(each) for each in [*history[-STEPS:], item]]
            if row in place and not (filter_seen and item in history):
                scores_N = scores_BN[place[row]]
                if filter_seen:
                    scores_N[history] = -np.inf
                yield int(user), item, scores_N, _heard(live, names[:-1])
            live.step(names, len(names) - 1, float(passing.times_J[at]))


def _heard(live: LiveTransitions, history: Sequence[str]) -> Heard:
    found = [(back, live.followers(item)) for back, item in enumerate(reversed(history))]
    return [
        (back, np.array([int(item) for item in each.item_ids]), each.shares_J)
        for back, each in found
        if each is not None
    ]


def _rank(target: int, scores_N: FloatArray) -> int:
    return int(ranks_of(np.array([target], np.int32), scores_N[None])[0])
