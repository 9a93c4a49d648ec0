"""Taking: content -> rows, by what is at hand, by what another replica made, or by the intake."""

from collections.abc import Mapping, Sequence
from threading import Lock
from typing import NamedTuple

from models.contract.intake import Content, Intake, IntakeError, Taken
from service.catalogue.change import digest
from service.catalogue.shared_codes import Made, SharedCodes

_AT_HAND = 4096  # rows


class Wanted(NamedTuple):
    """An item to take in."""

    item_id: str
    content: Content


class NoIntake:
    """Of a bundle that cannot take items in."""

    def take(self, contents: Sequence[Content]) -> list[Taken]:
        """Raises IntakeError."""
        raise IntakeError("body", "the bundle in service cannot take items in")


class Taking:
    """Around a bundle's intake, for several threads."""

    def __init__(self, intake: Intake, shared: SharedCodes | None = None) -> None:
        self.intake = intake
        self.shared = shared
        self._at_hand: dict[bytes, Taken] = {}
        self._lock = Lock()

    def take(self, items: Sequence[Wanted]) -> list[Taken]:
        """A row each, for what is about to be written. Raises IntakeError for any at fault."""
        with self._lock:
            taken = self.intake.take([item.content for item in items])
        self._keep(items, taken)
        return taken

    def each(self, items: Sequence[Wanted]) -> list[Taken | IntakeError]:
        """A row each, or why there is none, for what comes from the log."""
        keys = [digest(item.content) for item in items]
        found: dict[bytes, Taken | IntakeError] = {}
        with self._lock:
            found |= {key: self._at_hand[key] for key in keys if key in self._at_hand}
        if self.shared is not None:
            asked = {i.item_id: k for i, k in zip(items, keys, strict=True) if k not in found}
            found |= self.shared.get(asked)
        missing = {k: item for k, item in zip(keys, items, strict=True) if k not in found}
        found |= self._encoded(missing)
        return [found[key] for key in keys]

    def forget(self, item_ids: Sequence[str]) -> None:
        """Of deleted items nobody is told any more."""
        if self.shared is not None:
            self.shared.forget(item_ids)

    def close(self) -> None:
        """Give back connections."""
        if self.shared is not None:
            self.shared.close()

    def _encoded(self, items: Mapping[bytes, Wanted]) -> dict[bytes, Taken | IntakeError]:
        """All together; where one is at fault, each by itself."""
        if not items:
            return {}
        try:
            return dict(zip(items, self.take([*items.values()]), strict=True))
        except IntakeError as error:
            if len(items) == 1:
                return dict.fromkeys(items, error)
        alone = (self._encoded({key: item}) for key, item in items.items())
        return {key: row for found in alone for key, row in found.items()}

    def _keep(self, items: Sequence[Wanted], taken: Sequence[Taken]) -> None:
        made = [
            Made(item.item_id, digest(item.content), row)
            for item, row in zip(items, taken, strict=True)
        ]
        with self._lock:
            self._at_hand |= {one.content: one.taken for one in made}
            while len(self._at_hand) > _AT_HAND:
                del self._at_hand[next(iter(self._at_hand))]
        if self.shared is not None:
            self.shared.put(made)
