"""Titles of a catalogue, searched while somebody types.

Folded titles lie one after another in pieces of bytes, the most used items first: what is found
first is what most people mean, and what few mean is found in one pass over memory. A piece is
searched in a fraction of a millisecond; between two of them the event loop has its turn.
"""

import asyncio
import re
import string
import threading
import time
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from service.catalogue.live_items import LiveItems

MOST_WORDS = 8  # of a query
MOST_LIVE = 50_000  # live rows that are searched, the latest
MOST_SECONDS = 1.0  # of a search; what is found by then is what there is
_AT_ONCE = 4096  # titles of a piece
_END = b"\0"
_WITHIN = re.compile(r"[\u2019\u0300-\u036f]+")  # an accent that stands alone now; an apostrophe
_BETWEEN = re.compile(r"[\s\u00a1-\u00bf\u2000-\u206f\u3000-\u303f]+")
_BLANK = (string.punctuation + string.whitespace).encode()
_SPACED = bytes.maketrans(_BLANK, b" " * len(_BLANK))
_DROPPED = b"'\0"
_Named = tuple[str, str | None]


class Titles:
    """Those of one generation. The first search reads them all."""

    def __init__(self, items: LiveItems) -> None:
        self.items = items
        self._pieces: list[bytes] | None = None
        self._reading = threading.Lock()
        self._turn = asyncio.Lock()

    async def search(self, query: str, limit: int) -> list[int]:
        """As ``find``, in a thread, one after another: typing takes one core at most."""
        async with self._turn:
            return await asyncio.to_thread(self.find, query, limit)

    def find(self, query: str, limit: int) -> list[int]:
        """Rows, ``limit`` at most: the item of that id; then titles in which each word of the query
        begins a word, the most used first and live ones last; then those that hold it anywhere.

        The most used items where the query has no word.
        """
        pieces = self._of_bundle()
        row = self.items.row(query.strip())
        found = {} if row is None or self.items.is_gone(row) else {row: None}
        for row in self._rows(query, pieces, time.monotonic() + MOST_SECONDS):
            if len(found) >= limit:
                break
            if not self.items.is_gone(row):
                found[row] = None
        return list(found)

    def _rows(self, query: str, pieces: Sequence[bytes], deadline: float) -> Iterator[int]:
        by_use_N = self.items.bundle.catalogue.by_popularity_N
        words = folded(query).split()[:MOST_WORDS]
        if not words:
            yield from map(self._now, by_use_N.tolist())
            return
        words.sort(key=len, reverse=True)  # long ones are rare
        for before in b" ", b"":
            needles = [before + word for word in words]
            for number, piece in enumerate(pieces):
                for place in _places(piece, needles):
                    yield int(by_use_N[number * _AT_ONCE + place])
                if time.monotonic() > deadline:
                    return
                time.sleep(0)
            yield from self._live(needles)

    def _now(self, row: int) -> int:
        """Where an item of the bundle is, which may have been put anew."""
        if not self.items.is_gone(row):
            return row
        now = self.items.row(self.items.bundle.catalogue.id_of(row))
        return row if now is None else now

    def _of_bundle(self) -> list[bytes]:
        with self._reading:  # once, though whoever asked first may have given up
            if self._pieces is None:
                rows = self.items.bundle.catalogue.by_popularity_N.tolist()
                parts = (rows[n : n + _AT_ONCE] for n in range(0, len(rows), _AT_ONCE))
                self._pieces = [self._piece(self.items.names(part)) for part in parts]
            return self._pieces

    def _live(self, needles: Sequence[bytes]) -> Iterator[int]:
        """Of rows as they are now: their titles change."""
        size = self.items.size
        last = size + len(self.items.live.gone_M)  # what is published
        for end in range(last, max(size, last - MOST_LIVE), -_AT_ONCE):
            rows = range(end - 1, max(size, end - _AT_ONCE) - 1, -1)
            for place in _places(self._piece(self.items.names(rows)), needles):
                yield rows[place]

    @staticmethod
    def _piece(named: Iterable[_Named]) -> bytes:
        """What has no title goes by its id. Each begins with a space and ends with ``_END``."""
        time.sleep(0)  # the event loop's turn
        return b"".join(b" %b\0" % folded(title or item_id) for item_id, title in named)


def folded(text: str) -> bytes:
    """In small letters, without accents and apostrophes, spaces between words."""
    if not text.isascii():
        bare = _WITHIN.sub("", unicodedata.normalize("NFKD", text))
        text = _BETWEEN.sub(" ", bare.casefold())
    return text.encode("utf-8", "replace").lower().translate(_SPACED, _DROPPED)


def _places(piece: bytes, needles: Sequence[bytes]) -> Iterator[int]:
    """Which titles of a piece hold every needle, in order."""
    if not all(needle in piece for needle in needles):
        return
    first = needles[0]
    at = piece.find(first)
    while at >= 0:
        start, end = piece.rfind(_END, 0, at) + 1, piece.find(_END, at)
        if all(needle in piece[start:end] for needle in needles):
            yield piece.count(_END, 0, start)
        at = piece.find(first, end)
