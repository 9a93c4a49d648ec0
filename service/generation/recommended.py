"""What is recommended, and why."""

from typing import Literal, NamedTuple

# It was often taken after that item, is described like it, or suits the history, that item most.
Why = Literal["after", "alike", "history"]


class Recommended(NamedTuple):
    """One answer: which item, how good, and which of the history's items speaks for it, and how."""

    item_index: int
    score: float
    because: str | None = None
    reason: Why | None = None
