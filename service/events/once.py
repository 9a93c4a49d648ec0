"""Once: who has been heard of before, of any number of them, in one megabyte.

A Bloom filter. Whom it calls new is new; once it has heard of a million, it takes one new one in
fifty for somebody of whom it has heard.
"""

from hashlib import blake2b

_BITS = 2**23
_HASHES = 4


class Once:
    """Of names."""

    def __init__(self, bits: bytes | None = None) -> None:
        self.bits = bytearray(_BITS // 8) if bits is None else bytearray(bits)

    def __contains__(self, name: str) -> bool:
        return all(self.bits[at >> 3] & 1 << (at & 7) for at in _places(name))

    def add(self, name: str) -> None:
        """It is known from now on."""
        for at in _places(name):
            self.bits[at >> 3] |= 1 << (at & 7)


def _places(name: str) -> list[int]:
    hashed = int.from_bytes(blake2b(name.encode(), digest_size=4 * _HASHES).digest())
    return [hashed >> 32 * each & _BITS - 1 for each in range(_HASHES)]
