"""Distinct: how many different items were shown, and how many in as many slots as another showed.

Adaptive sampling (Flajolet, 1990): only items whose hash ends in so many zero bits are counted, one
bit more whenever those are too many. Up to `MOST` items the count is exact, beyond it is off by
some 2% (1.2 / sqrt(MOST)).
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import exp, lgamma
from zlib import crc32

MOST = 4096


@dataclass(slots=True)
class Distinct:
    """Of a variant. counts: by item, of those in the sample. bits: zeros that their hashes end in.

    slots: in which anything was shown.
    """

    slots: int = 0
    bits: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, item_ids: Iterable[str]) -> None:
        """These items were shown, each in a slot."""
        counts, zeros = self.counts, (1 << self.bits) - 1
        for item_id in item_ids:
            self.slots += 1
            if item_id in counts:
                counts[item_id] += 1
            elif not (zeros and crc32(item_id.encode()) & zeros):
                counts[item_id] = 1
        if len(counts) > MOST:
            self._thin()

    def items(self) -> int:
        """That were shown."""
        return len(self.counts) << self.bits

    def items_in(self, slots: int) -> float:
        """Expected among so many of the slots, drawn at random: what showed more shows more items.

        Rarefaction: Hurlbert, 1971, "The nonconcept of species diversity".
        """
        if slots >= self.slots:
            return float(self.items())
        alike = Counter(self.counts.values())
        none = sum(n * _chance_of_none(self.slots, count, slots) for count, n in alike.items())
        return (len(self.counts) - none) * 2.0**self.bits

    def _thin(self) -> None:
        while len(self.counts) > MOST:
            self.bits += 1
            zeros = (1 << self.bits) - 1
            kept = {i: n for i, n in self.counts.items() if not crc32(i.encode()) & zeros}
            self.counts = kept


def _chance_of_none(slots: int, count: int, drawn: int) -> float:
    """That an item shown so often is in none of the slots that are drawn."""
    left = slots - count - drawn
    if left < 0:
        return 0.0
    return exp(
        lgamma(slots - count + 1) - lgamma(left + 1) - lgamma(slots + 1) + lgamma(slots - drawn + 1)
    )
