"""What the log of events keeps: what people did, what they were shown, and what is to be forgotten.

A record is one line of JSON there; ``kind`` says which it is.
"""

from collections.abc import Mapping
from sys import intern
from typing import Any, NamedTuple

from pydantic import ConfigDict, TypeAdapter
from pydantic_core import from_json, to_json

from service.log.log import Entry, EntryError


class Event(NamedTuple):
    """Somebody did something with an item. ``id`` and ``source`` are the same whenever it is sent.

    type: view, click, purchase, or whatever the shop has. time: seconds since 1970. position: where
    in the recommendation it was, from 1.
    """

    id: str
    type: str
    user_id: str
    item_id: str
    time: float
    source: str = ""
    value: float | None = None
    recommendation_id: str | None = None
    position: int | None = None
    context: Mapping[str, Any] | None = None

    def key(self) -> str:
        """Of no other event."""
        return f"{self.source}\x00{self.id}"


class Shown(NamedTuple):
    """What one answer recommended, best first. after: the page before it, if there was one.

    item_ids: interned by whoever makes one, for they are kept of many answers.
    odds: of each item, the probability with which it was put in that slot; 1 where nothing is left
    to chance, None where nobody knows. caller: who it was, where no user was named.
    """

    recommendation_id: str
    item_ids: list[str]
    time: float
    user_id: str | None = None
    after: str | None = None
    model: str | None = None  # the bundle that answered
    odds: list[float] | None = None
    caller: str | None = None  # a hash of X-Sticky-Key


class Erased(NamedTuple):
    """Whatever is before this of that user is to be forgotten."""

    user_id: str
    time: float


class Merged(NamedTuple):
    """Whatever is before this of that guest is the user's."""

    guest_id: str
    user_id: str
    time: float


class Split(NamedTuple):
    """From here on ``current`` answers, and ``canary`` a share of callers: digests of bundles."""

    time: float
    current: str
    canary: str | None = None
    share: float = 0.0

    def alike(self, other: "Split | None") -> bool:
        """Whether the other says the same, be it of another time."""
        return other is not None and self[1:] == other[1:]


Record = Event | Shown | Erased | Merged | Split
_KINDS: Mapping[str, type[Record]] = {
    "event": Event, "shown": Shown, "erased": Erased, "merged": Merged, "split": Split
}  # fmt: skip
_NAMES = {kind: name for name, kind in _KINDS.items()}
# Whoever else writes to the log: what is of another type would stop those who store it, for ever.
_READ: Mapping[str, TypeAdapter[Record]] = {
    name: TypeAdapter(kind, config=ConfigDict(strict=True)) for name, kind in _KINDS.items()
}


def encode(entry: Entry[Record]) -> bytes:
    """One line of JSON, without its end; what is None is left out."""
    position, record = entry
    told = {name: value for name, value in record._asdict().items() if value is not None}
    return to_json({"position": position, "kind": _NAMES[type(record)], "record": told})


def decode(line: bytes) -> Entry[Record]:
    """The inverse. Raises EntryError."""
    try:
        found = from_json(line)
        record = _READ[found["kind"]].validate_python(found["record"])
        if isinstance(record, Shown):
            record.item_ids[:] = map(intern, record.item_ids)
        return Entry(int(found["position"]), record)
    except (ValueError, KeyError, TypeError) as error:
        raise EntryError(f"no record of events: {error}") from error
