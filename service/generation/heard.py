"""Heard: what events tell a generation's memory, in rows of its catalogue."""

from collections.abc import Iterator, Sequence

from models.contract.live_counts import LiveTransitions
from models.contract.memory import STEPS, Recalled
from service.catalogue.live_items import LiveItems
from service.generation.placed import Placed, Places
from service.generation.recommended import Recommended

_PLACED = 10_000  # items whose followers are looked up once, as long as nothing changes


class Heard:
    """Weighs live counts as the bundle weighs its own: where it has none, neither has this."""

    def __init__(self, items: LiveItems) -> None:
        memory = items.bundle.memory
        self.weight, self.decay = (memory.weight, memory.decay) if memory else (0.0, 0.0)
        self._places = Places(items, _PLACED)

    def recall(self, transitions: LiveTransitions, history: Sequence[str]) -> Recalled | None:
        """What has followed the latest items of a history, of late; None where nothing has."""
        found = list(self._placed_of(transitions, history))
        if not found:
            return None
        scores = [self.weight * weight * placed.weights_J for weight, _, placed in found]
        return Recalled.summed([placed.rows_J for _, _, placed in found], scores)

    def explain(
        self, transitions: LiveTransitions, history: Sequence[str], items: list[Recommended]
    ) -> list[Recommended]:
        """Where the bundle has no reason of its own: the item that it followed most, of late."""
        best: dict[int, tuple[float, str]] = {}
        for weight, item_id, placed in self._placed_of(transitions, history):
            for row, share in zip(placed.rows_J.tolist(), placed.weights_J.tolist(), strict=True):
                best[row] = max(best.get(row, (0.0, "")), (weight * share, item_id))
        return [
            item._replace(because=best[item.item_index][1], reason="after")
            if item.reason == "history" and item.item_index in best
            else item
            for item in items
        ]

    def _placed_of(
        self, transitions: LiveTransitions, history: Sequence[str]
    ) -> Iterator[tuple[float, str, Placed]]:
        """Of the latest items of a history that anything has followed: what each weighs by now."""
        if self.weight:
            for back, item_id in enumerate(reversed(history[-STEPS:])):
                followers = transitions.followers(item_id)
                if followers is not None:
                    placed = self._places.of(followers, followers.item_ids, followers.shares_J)
                    yield self.decay**back, item_id, placed
