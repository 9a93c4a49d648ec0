"""Lines of a file that say whether they are whole: a checksum, a payload, the line's end."""

import zlib
from typing import NamedTuple

_CHECKSUM = 8  # hexadecimal digits
_MARK = b'{"compacted":'


class Frames(NamedTuple):
    """What was read: whole lines, how many bytes they took, and lines among them that are damaged.

    What is not whole at the end is left: it may still be in the making, or was torn.
    """

    payloads: list[bytes]
    used: int
    damaged: int


def frame(payload: bytes) -> bytes:
    """A line of a payload that holds no line's end."""
    return b"%08x %s\n" % (zlib.crc32(payload), payload)


def frames(content: bytes, most: int) -> Frames:
    """Up to ``most`` payloads.

    A damaged line is passed over only where a whole one follows: damage at the end is a torn write.
    """
    payloads: list[bytes] = []
    used = start = damaged = suspected = 0
    while len(payloads) < most and (end := content.find(b"\n", start)) >= 0:
        payload = _payload(content[start:end])
        start = end + 1
        if payload is None:
            suspected += 1
            continue
        payloads.append(payload)
        damaged, suspected, used = damaged + suspected, 0, start
    return Frames(payloads, used, damaged)


def _payload(line: bytes) -> bytes | None:
    checksum, payload = line[:_CHECKSUM], line[_CHECKSUM + 1 :]
    return payload if checksum == b"%08x" % zlib.crc32(payload) else None


def mark(position: int) -> bytes:
    """The payload that follows what was compacted: the position that it goes up to."""
    return b"%s%d}" % (_MARK, position)


def marked(payload: bytes) -> int | None:
    """The position of a mark; None of other payloads."""
    return int(payload[len(_MARK) : -1]) if payload.startswith(_MARK) else None
