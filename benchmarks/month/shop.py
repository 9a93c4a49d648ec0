"""A shop that does not stand still, made up from a seed: what its users would do is known.

An item is of a group and a style, which its text tells, and of a line, which nothing tells but
what users do. After an item, users want one of the group that follows its group, or of what they
like anyway, in the styles they like, of the same line rather than of another. Every day some items
go and others come; some users change their taste; styles come into fashion and go out of it; and
which group follows which changes, too.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.contract.types import FloatArray

GROUPS = (
    ("coffee", "espresso roast bean barista crema grinder"),
    ("hiking", "trail boot summit gravel waterproof rucksack"),
    ("books", "novel chapter mystery paperback detective plot"),
    ("music", "guitar string chord acoustic fret melody"),
    ("make-up", "lipstick shimmer nail gloss velvet blush"),
    ("games", "puzzle dice board card tile strategy"),
    ("tools", "drill screw timber hammer bolt saw"),
    ("garden", "orchid soil seed pot fern watering"),
)
STYLES = "red", "vintage", "tiny", "luxury", "rustic", "neon", "travel", "organic"
_LINES = 40
_FOLLOWS, _OF_LINE = 0.6, 4.0  # chance that the next group follows; so many times as likely
_ODDS = 0.2  # ten items that suit best are clicked once, all together
_MOST = 0.8
_NEW_FOR = 5.0  # days, in which what is new about an item halves and more

Items = NDArray[np.int64]


class Drift(NamedTuple):
    """What changes in a day: shares of items and of users; days between changes of what follows,
    and of a fashion's whole turn.
    """

    items: float = 0.015
    users: float = 0.02
    follows: int = 7
    fashion: float = 30.0


class Shop:
    """All items of all its days, of which some are there on each."""

    def __init__(self, seed: int, days: int, users: int, items: int, drift: Drift) -> None:
        self.random = random = np.random.default_rng(seed)
        self.drift, self.day = drift, 0
        self.changed = round(items * drift.items)  # a day
        every = items + days * self.changed
        self.group_I = random.integers(len(GROUPS), size=every)
        self.style_I = random.integers(len(STYLES), size=every)
        self.line_I = random.integers(_LINES, size=every)
        self.appeal_I = random.lognormal(0.0, 0.7, every)
        self.born_I = np.maximum(0, (np.arange(every) - items) // max(self.changed, 1) + 1)
        self.born_I[:items] = -100
        self.there_I = self.born_I <= 0
        self.follows_G = np.roll(np.arange(len(GROUPS)), -1)
        self.phase_S = random.uniform(0, 2 * np.pi, len(STYLES))
        self.groups_UG = random.dirichlet(np.full(len(GROUPS), 0.3), users)
        self.styles_US = random.dirichlet(np.full(len(STYLES), 0.5), users)

    def next_day(self) -> tuple[Items, Items]:
        """Items that come with the new day, and items that go."""
        random, drift = self.random, self.drift
        self.day += 1
        new = np.flatnonzero(self.born_I == self.day)
        gone = random.choice(np.flatnonzero(self.there_I), self.changed, replace=False)
        self.there_I[new], self.there_I[gone] = True, False
        users = np.flatnonzero(random.random(len(self.groups_UG)) < drift.users)
        self.groups_UG[users] = random.dirichlet(np.full(len(GROUPS), 0.3), len(users))
        self.styles_US[users] = random.dirichlet(np.full(len(STYLES), 0.5), len(users))
        if drift.follows and self.day % drift.follows == 0:
            one, other = random.choice(len(GROUPS), 2, replace=False)
            self.follows_G[[one, other]] = self.follows_G[[other, one]]
        return new, gone

    def chances(self, user: int, history: list[int]) -> FloatArray:
        """(I,): that the user, shown an item, takes it. What they have they do not want again."""
        group_G = self.groups_UG[user].copy()
        line_I: FloatArray | float = 1.0
        if history:
            group_G *= 1 - _FOLLOWS
            group_G[self.follows_G[self.group_I[history[-1]]]] += _FOLLOWS
            line_I = np.where(self.line_I == self.line_I[history[-1]], _OF_LINE, 1.0)
        fashion_S = np.exp(0.8 * np.sin(2 * np.pi * self.day / self.drift.fashion + self.phase_S))
        style_S = self.styles_US[user] * fashion_S
        new_I = 1 + 0.5 * np.exp((self.born_I - self.day) / _NEW_FOR)
        chance_I = group_G[self.group_I] * style_S[self.style_I] * self.appeal_I * new_I * line_I
        chance_I = np.minimum(_ODDS * chance_I, _MOST) * self.there_I
        chance_I[history] = 0
        found: FloatArray = chance_I
        return found

    def gone(self) -> Items:
        """All that was there, and is no more."""
        return np.flatnonzero((self.born_I <= self.day) & ~self.there_I)

    def text(self, item: int) -> dict[str, str]:
        """Title and description, the same whenever it is asked for."""
        random = np.random.default_rng(item)
        name, words = GROUPS[self.group_I[item]]
        one, two, three = random.permutation(words.split())[:3].tolist()
        style = STYLES[self.style_I[item]]
        return {
            "title": f"{style} {one} {two}".capitalize(),
            "description": f"A {style} {one} for {name}, with {two} and {three}.",
        }


def name_of(item: int) -> str:
    """Its id in the shop's files."""
    return f"item-{item:04}"


def number_of(item_id: str) -> int:
    """The item of an id."""
    return int(item_id.removeprefix("item-"))
