"""Users: the latest that everybody did, as a history to recommend from.

The same in every process that has read the log up to the same place.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from sys import intern  # histories hold the same ids many times
from typing import TypeVar

from service.events.latest import Latest
from service.events.record import Event, Shown

T = TypeVar("T")
# When an answer was given, what it recommended, best first, and the page before it. Plain tuples of
# strings and numbers, for there are millions: whoever looks for circles in memory passes them by.
Page = tuple[float, tuple[str, ...], str | None]
DISLIKE = "dislike"
_ANSWERS = 20  # of each user, that are known to have been shown


def page(shown: Shown) -> Page:
    """What is kept of it."""
    return shown.time, tuple(shown.item_ids), shown.after


class User:
    """Steps of a history, oldest first; what is disliked; what was shown lately, oldest first."""

    __slots__ = ("disliked", "items", "shown", "times")

    def __init__(self) -> None:
        self.items: list[str] = []
        self.times = array("d")
        self.disliked: dict[str, float] = {}  # when
        self.shown: dict[str, Page] = {}  # by recommendation

    def dislike(self, item_id: str, time: float, most: int) -> None:
        """Unless they have used it since; events come late, and the last word counts."""
        used = (when for used, when in zip(self.items, self.times, strict=True) if used == item_id)
        if time >= max(used, default=time):
            _keep(self.disliked, item_id, max(time, self.disliked.get(item_id, time)), most)

    def like(self, item_id: str, time: float) -> None:
        """They have used it: unless they have disliked it since, they have come to like it."""
        if time >= self.disliked.get(item_id, time):
            self.disliked.pop(item_id, None)

    def step(self, item_id: str, time: float, most: int) -> int | None:
        """Put an item into the history where its time is; the place, None where it adds none.

        What was viewed and then bought is one step, at the later time: an item beside itself is not
        told twice.
        """
        at = bisect_right(self.times, time)
        if at and self.items[at - 1] == item_id:
            self.times[at - 1] = time
        if item_id in self.items[max(at - 1, 0) : at + 1]:
            return None
        if at == 0 and len(self.items) >= most:
            return None
        self.items.insert(at, item_id)
        self.times.insert(at, time)
        if len(self.items) > most:
            del self.items[0], self.times[0]
            at -= 1
        return at


class Users:
    """Of so many users that did something last, and of as many who were only shown something:
    whoever asks for anybody drives out nobody who did something.

    types: of events that are steps of a history. most: steps, and items disliked, kept of each.
    """

    def __init__(self, types: Iterable[str], most: int, most_users: int) -> None:
        self.types = frozenset(types)
        self.most = most
        self._users: Latest[User] = Latest(most_users)
        self._visitors: Latest[User] = Latest(most_users)

    def __len__(self) -> int:
        return len(self._users) + len(self._visitors)

    def get(self, user_id: str) -> User | None:
        """What is known of somebody."""
        return self._users.get(user_id) or self._visitors.get(user_id)

    def note(self, event: Event) -> tuple[User, int] | None:
        """Somebody did something: whose history has a step more, and where."""
        if event.type == DISLIKE:
            self._heard(event.user_id).dislike(intern(event.item_id), event.time, self.most)
            return None
        if event.type not in self.types:
            return None
        user = self._heard(event.user_id)
        user.like(event.item_id, event.time)
        at = user.step(intern(event.item_id), event.time, self.most)
        return None if at is None else (user, at)

    def saw(self, user_id: str, recommendation_id: str, page: Page) -> None:
        """Somebody was shown something."""
        user = self._users.get(user_id)
        if user is None:
            user = self._visitors.get(user_id) or User()
            self._visitors.put(user_id, user)
        _keep(user.shown, recommendation_id, page, _ANSWERS)

    def erase(self, user_id: str) -> None:
        """Forget somebody."""
        self._take(user_id)

    def merge(self, guest_id: str, user_id: str) -> None:
        """What a guest did is the user's."""
        if guest_id == user_id or (guest := self._take(guest_id)) is None:
            return
        user = self._heard(user_id)
        steps = [*zip(user.times, user.items, strict=True)]
        steps += zip(guest.times, guest.items, strict=True)
        user.items, user.times = [], array("d")
        for time, item_id in sorted(steps, key=lambda step: step[0]):  # as if one had done it all
            user.step(item_id, time, self.most)
        for item_id, time in zip(guest.items, guest.times, strict=True):
            user.like(item_id, time)
        for item_id, time in guest.disliked.items():
            user.dislike(item_id, time, self.most)
        both = sorted((guest.shown | user.shown).items(), key=lambda named: named[1][0])
        user.shown = dict(both[-_ANSWERS:])

    def _take(self, user_id: str) -> User | None:
        found = self._users.take(user_id), self._visitors.take(user_id)
        return found[0] or found[1]

    def _heard(self, user_id: str) -> User:
        user = self._users.get(user_id) or self._visitors.take(user_id) or User()
        self._users.put(user_id, user)
        return user


def _keep(kept: dict[str, T], key: str, value: T, most: int) -> None:
    """Put it in as the latest; the oldest make room."""
    kept.pop(key, None)
    kept[key] = value
    while len(kept) > most:
        del kept[next(iter(kept))]
