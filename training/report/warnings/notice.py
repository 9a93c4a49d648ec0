"""One warning."""

from typing import Literal, NamedTuple

Level = Literal["stop", "look", "note"]  # gravest first


class Notice(NamedTuple):
    """What is the case, and what to do."""

    level: Level
    said: str
    do: str
