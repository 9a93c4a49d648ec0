"""Trail: where a reader of a log was and what it found there, to go back by when the log does.

Whoever takes over from a server may lack what was read there last. Its log goes on from where it
ends, with other entries in places that were read.
"""

from collections import deque
from collections.abc import Callable
from hashlib import blake2b

_MOST = 1000  # places, the latest
NOTHING = b""  # in a place that was compacted


class Trail:
    """Of one reader, which notes the last entry of all that it reads together."""

    def __init__(self) -> None:
        self._noted: deque[tuple[int, bytes]] = deque(maxlen=_MOST)

    def note(self, position: int, line: bytes) -> None:
        """That this is there."""
        self._noted.append((position, _digest(line)))

    def back(self, last: float, found: Callable[[int], bytes]) -> int:
        """The last place that is as it was, 0 where none is known to be; those after it are
        forgotten. last: where the log ends. found: what is in a place now.
        """
        while self._noted:
            position, noted = self._noted[-1]
            if position <= last and _digest(found(position)) == noted:
                return position
            self._noted.pop()
        return 0


def _digest(line: bytes) -> bytes:
    return blake2b(line, digest_size=16).digest()
