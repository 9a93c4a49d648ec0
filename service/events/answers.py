"""Answers: the latest, by name and by user, for what comes of them."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from service.events.record import Event

MOST = 2**16
SLACK = 300.0  # seconds: clocks differ
_OF_USER = 20  # of each user, in which an event that names none is looked for


@dataclass(slots=True)
class Answer:
    """What was shown, and whether anything of it was clicked.

    model: the bundle that answered. counted: what comes of it is the caller's, who is observed.
    """

    model: str
    caller: str
    user_id: str | None
    item_ids: tuple[str, ...]
    time: float
    counted: bool = False
    clicked: bool = False


class Answers:
    """Those that were heard of last: what is forgotten is what was heard of longest ago."""

    def __init__(self, known: dict[str, Answer] | None = None) -> None:
        self._by_name: OrderedDict[str, Answer] = OrderedDict(known or {})
        self._of_user: dict[str, list[str]] = {}
        for name, answer in self._by_name.items():
            self._list(name, answer)

    def __len__(self) -> int:
        return len(self._by_name)

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def by_name(self) -> dict[str, Answer]:
        """All, in the order in which they were heard of."""
        return dict(self._by_name)

    def put(self, name: str, answer: Answer) -> None:
        """The latest; one that is new."""
        self._by_name[name] = answer
        self._list(name, answer)
        if len(self._by_name) > MOST:
            forgotten, gone = self._by_name.popitem(last=False)
            self._unlist(forgotten, gone.user_id)

    def oldest(self) -> Answer | None:
        """Of those that are known."""
        return next(iter(self._by_name.values()), None)

    def before(self, event: Event) -> Answer | None:
        """Of an event that names none: the latest before it that showed this user the item."""
        names = islice(reversed(self._of_user.get(event.user_id, [])), _OF_USER)
        until = event.time + SLACK
        for answer in map(self._by_name.__getitem__, names):
            if answer.time <= until and event.item_id in answer.item_ids:
                return answer
        return None

    def named(self, event: Event) -> Answer | None:
        """The one that an event names, if it showed the item."""
        answer = self._by_name.get(event.recommendation_id or "")
        return answer if answer is not None and event.item_id in answer.item_ids else None

    def take(self, user_id: str) -> Iterator[Answer]:
        """Those to a user, who is forgotten."""
        return map(self._by_name.pop, self._of_user.pop(user_id, []))

    def merge(self, guest_id: str, user_id: str) -> None:
        """What a guest was shown, the user was."""
        if guest_id == user_id or (names := self._of_user.pop(guest_id, None)) is None:
            return
        for name in names:
            self._by_name[name].user_id = user_id
        both = names + self._of_user.get(user_id, [])
        self._of_user[user_id] = sorted(both, key=lambda name: self._by_name[name].time)

    def _list(self, name: str, answer: Answer) -> None:
        if answer.user_id is not None:
            self._of_user.setdefault(answer.user_id, []).append(name)

    def _unlist(self, name: str, user_id: str | None) -> None:
        if user_id is not None:
            names = self._of_user[user_id]
            names.remove(name)
            if not names:
                del self._of_user[user_id]
