"""What the changes of an item come to: the rule by which all replicas, and compaction, agree.

Changes apply in the order of the log. One with a version applies where it is later than the item's;
one without always does, and gets the next. A put replaces all of an item; a patch changes
attributes, and removes those that it sets to null; neither a patch nor a delete revives a deleted
item.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from models.contract.intake import AttributeValue
from service.catalogue.change import Change
from service.log.log import Entry

Outcome = Literal["applied", "stale", "deleted"]
REMEMBERED = 10_000  # items that are deleted, whose content stays after compaction


class Mark(NamedTuple):
    """How far an item has come. since: when it was put first. first: at which position."""

    version: int = 0
    deleted: bool = False
    since: float | None = None
    first: int | None = None

    def verdict(self, change: Change) -> Outcome:
        """Whether a change applies, and why not."""
        if change.version is not None and change.version <= self.version:
            return "stale"
        return "deleted" if change.kind == "patch" and self.deleted else "applied"

    def after(self, entry: Entry[Change]) -> "Mark":
        """Of a change that applies."""
        change = entry.value
        version = self.version + 1 if change.version is None else change.version
        since = self.since if self.since is not None else change.since
        first = self.first if self.first is not None else change.first
        if change.kind == "put":
            since = change.time if since is None else since
            first = entry.position if first is None else first
        return Mark(version, change.kind == "delete", since, first)


@dataclass
class Standing:
    """What one item's changes have come to: a put, what was patched since, a deletion.

    Entries carry the versions that they got. Of a deleted item the put stays: histories hold it.
    """

    mark: Mark = field(default_factory=Mark)
    put: Entry[Change] | None = None
    patch: Entry[Change] | None = None
    deletion: Entry[Change] | None = None

    def apply(self, entry: Entry[Change]) -> None:
        """Change it, where the change applies."""
        change = entry.value
        if self.mark.verdict(change) != "applied":
            return
        self.mark = self.mark.after(entry)
        version, _, since, first = self.mark
        told = replace(change, version=version, since=since, first=first)
        numbered = Entry(entry.position, told)
        if change.kind == "put":
            self.put, self.patch, self.deletion = numbered, None, None
        elif change.kind == "delete":
            self.patch, self.deletion = None, numbered
        else:
            self.patch = _merged(self.patch, numbered)

    def entries(self) -> Iterable[Entry[Change]]:
        """What leads to the same standing."""
        return (e for e in (self.put, self.patch, self.deletion) if e is not None)


class Fold:
    """All items' standing."""

    def __init__(self) -> None:
        self.items: dict[str, Standing] = {}

    def apply(self, entry: Entry[Change]) -> None:
        """The next entry of the log."""
        self.items.setdefault(entry.value.item_id, Standing()).apply(entry)

    def entries(self) -> list[Entry[Change]]:
        """As few as lead to the same standing of every item, at growing positions."""
        self._forget()
        return sorted(
            (entry for standing in self.items.values() for entry in standing.entries()),
            key=lambda entry: entry.position,
        )

    def _forget(self) -> None:
        """What items were whose deletion is longest ago: else the log would grow for ever."""
        deleted = [
            (standing.deletion.position, standing)
            for standing in self.items.values()
            if standing.deletion is not None and standing.put is not None
        ]
        deleted.sort(key=lambda pair: pair[0])
        for _, standing in deleted[: max(len(deleted) - REMEMBERED, 0)]:
            standing.put = None


def patched(
    attributes: Mapping[str, AttributeValue], patch: Mapping[str, AttributeValue]
) -> dict[str, AttributeValue]:
    """Attributes after a patch."""
    merged = {**attributes, **patch}
    return {name: value for name, value in merged.items() if value is not None}


def _merged(before: Entry[Change] | None, patch: Entry[Change]) -> Entry[Change]:
    """One patch for both. Nulls stay: a bundle may have what they remove."""
    if before is None:
        return patch
    attributes = {**before.value.attributes, **patch.value.attributes}
    return Entry(patch.position, replace(patch.value, attributes=attributes))
