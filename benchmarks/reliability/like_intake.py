"""An intake that costs nothing: for what is not about encoders, in tests and benchmarks."""

from collections.abc import Sequence

from models.contract.bundle import Bundle
from models.contract.intake import Content, IntakeError, Taken


class LikeIntake:
    """An item is like the one that its text `like` names: the same codes and vectors."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.taken: list[int] = []  # how many were taken in at once

    def take(self, contents: Sequence[Content]) -> list[Taken]:
        self.taken.append(len(contents))
        return list(map(self._take, contents))

    def _take(self, content: Content) -> Taken:
        row = self.bundle.catalogue.rows.get(content.text.get("like", ""))
        if row is None:
            raise IntakeError("text.like", "names no item")
        codes_NS, vectors = self.bundle.semantic_ids.codes_NS, self.bundle.vectors
        return Taken(codes_NS[row], vectors.scored_ND[row], vectors.read_NW[row])
