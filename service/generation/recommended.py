"""What is recommended, and why."""

from typing import Literal, NamedTuple

# It was often taken after that item, is described like it, or suits the history, that item most.
Why = Literal["after", "alike", "history"]
# Nothing of a history is known: used by everybody, or by those who are like whoever asks.
Fallback = Literal["popular", "popular_in_context"]


class Recommended(NamedTuple):
    """One answer: which item, how good, and which of the history's items speaks for it, and how.

    rules: those that touched it. explored: whether it was drawn; None: nothing is explored. odds:
    that it is in its place, where that is known.
    """

    item_index: int
    score: float
    because: str | None = None
    reason: Why | None = None
    rules: tuple[str, ...] = ()
    explored: bool | None = None
    odds: float | None = None
