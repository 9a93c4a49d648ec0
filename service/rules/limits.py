"""What diversity asks of the next item: not too many of a kind, and unlike those before it."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from models.contract.attributes import values_of
from models.contract.types import FloatArray
from service.retrieval.rows import Rows
from service.rules.rules import Diversify


class Facts(Protocol):
    """What is known of rows."""

    def attributes(self, row: int) -> Mapping[str, Any]:
        """As they are now."""

    def vectors(self, rows: list[int]) -> FloatArray:
        """(J, D): what they are scored by."""

    def uses(self, rows: list[int]) -> Rows:
        """(J,): how often each was used in what the bundle learned from."""


class Limit:
    """At most so many of one value; of an attribute with several, of each of them."""

    def __init__(self, diversify: Diversify | None, facts: Facts) -> None:
        self.by = diversify.by if diversify else None
        self.at_most = diversify.at_most if diversify else 0
        self.facts = facts
        self._placed: Counter[str | float] = Counter()

    def admits(self, row: int) -> bool:
        """Whether it may be the next."""
        return all(self._placed[value] < self.at_most for value in self._values(row))

    def note(self, row: int) -> None:
        """It is placed."""
        self._placed.update(self._values(row))

    def _values(self, row: int) -> frozenset[str | float]:
        if self.by is None:
            return frozenset()
        terms, numbers = values_of(self.facts.attributes(row).get(self.by))
        return terms | numbers


class Likeness:
    """Scores of candidates, less what they have in common with what is placed.

    Scores are brought to the span from 0 to 1 first, for cosines have it.
    """

    def __init__(self, strength: float, scores_J: FloatArray, rows: list[int], facts: Facts):
        self.strength = strength
        self.worth_J = scores_J
        if strength and rows:
            span = max(float(scores_J.max() - scores_J.min()), 1e-12)
            self.relevance_J = (scores_J - scores_J.min()) / np.float32(span)
            vectors_JD = facts.vectors(rows)
            lengths_J = np.linalg.norm(vectors_JD, axis=1, keepdims=True)
            self.unit_JD = vectors_JD / np.maximum(lengths_J, 1e-12)
            self.nearest_J = np.zeros(len(rows), np.float32)
            self._weigh()

    def note(self, candidate: int) -> None:
        """It is placed."""
        if self.strength:
            near_J = self.unit_JD @ self.unit_JD[candidate]
            self.nearest_J = np.maximum(self.nearest_J, near_J)
            self._weigh()

    def _weigh(self) -> None:
        worth_J = (1 - self.strength) * self.relevance_J - self.strength * self.nearest_J
        self.worth_J = worth_J.astype(np.float32)
