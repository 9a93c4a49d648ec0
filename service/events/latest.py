"""The latest of many: maps that forget what they were told longest ago."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class Latest(Generic[V]):
    """At most so many values by key, the latest ones."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._kept: OrderedDict[Hashable, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._kept

    def get(self, key: Hashable) -> V | None:
        """What is kept under it."""
        return self._kept.get(key)

    def put(self, key: Hashable, value: V) -> bool:
        """Keep it as the latest; whether there was nothing under this key."""
        new = key not in self._kept
        self._kept[key] = value
        self._kept.move_to_end(key)
        if len(self._kept) > self.most:
            self._kept.popitem(last=False)
        return new

    def take(self, key: Hashable) -> V | None:
        """What is kept under it, no longer."""
        return self._kept.pop(key, None)
