"""Taking: content -> rows, by what is at hand, by what another replica made, or by the intake."""

from collections.abc import Sequence
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
        taken = self._encode(items)
        keys = [digest(item.content) for item in items]
        with self._lock:
            self._at_hand |= zip(keys, taken, strict=True)
            while len(self._at_hand) > _AT_HAND:
                del self._at_hand[next(iter(self._at_hand))]
        self._share(items, keys, taken)
        return taken

    def each(self, items: Sequence[Wanted]) -> list[Taken | IntakeError]:
        """A row each, or why there is none, for what comes from the log."""
        if not self._at_hand and self.shared is None:  # as when all of a log is read
            return self._encode_each(items)
        keys = [digest(item.content) for item in items]
        with self._lock:
            found = {key: self._at_hand[key] for key in keys if key in self._at_hand}
        if self.shared is not None:
            asked = {i.item_id: k for i, k in zip(items, keys, strict=True) if k not in found}
            found |= self.shared.get(asked)
        missing = {k: item for k, item in zip(keys, items, strict=True) if k not in found}
        made = dict(zip(missing, self._encode_each([*missing.values()]), strict=True))
        taken = {key: row for key, row in made.items() if isinstance(row, Taken)}
        self._share([missing[key] for key in taken], [*taken], [*taken.values()])
        return [found[key] if key in found else made[key] for key in keys]

    def forget(self, item_ids: Sequence[str]) -> None:
        """Of deleted items nobody is told any more."""
        if self.shared is not None:
            self.shared.forget(item_ids)

    def close(self) -> None:
        """Give back connections."""
        if self.shared is not None:
            self.shared.close()

    def _encode(self, items: Sequence[Wanted]) -> list[Taken]:
        with self._lock:
            return self.intake.take([item.content for item in items]) if items else []

    def _encode_each(self, items: Sequence[Wanted]) -> list[Taken | IntakeError]:
        """All together; where one is at fault, each by itself."""
        try:
            return [*self._encode(items)]
        except IntakeError as error:
            if len(items) == 1:
                return [error]
        return [row for item in items for row in self._encode_each([item])]

    def _share(
        self, items: Sequence[Wanted], keys: Sequence[bytes], taken: Sequence[Taken]
    ) -> None:
        if self.shared is not None:
            ids = [item.item_id for item in items]
            self.shared.put(list(map(Made, ids, keys, taken)))
