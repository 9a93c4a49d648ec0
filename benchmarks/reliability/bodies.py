"""Bodies as large as the service takes, of shapes that cost a careless one most."""

import json
from typing import NamedTuple

from hypothesis import strategies as st

SIZE = 2**20
_HISTORY = (b'{"history":[', b"]}")
_PLACES = (
    _HISTORY,
    (b'{"exclude":[', b"]}"),
    (b'{"history":["item-1"],"exclude":[', b"]}"),
    (b'{"history":[],"more":[', b"]}"),
    (b'{"k":', b"}"),
    (b"[", b"]"),
    (b"", b""),
)


class Shape(NamedTuple):
    """A body: ``unit``, again and again, between ``opening`` and ``closing``.

    ``#`` in the unit is the number of the repetition, so that names and ids may differ.
    """

    opening: bytes
    unit: bytes
    closing: bytes
    between: bytes = b","

    def body(self, size: int = SIZE) -> bytes:
        """The longest that is no longer than ``size``."""
        room = size - len(self.opening) - len(self.closing)
        step = len(self.between) + len(self.unit.replace(b"#", b"%06d" % 0))
        count = max(1, (room + len(self.between)) // step)
        if b"#" in self.unit:
            units = [self.unit.replace(b"#", b"%06d" % number) for number in range(count)]
        else:
            units = [self.unit] * count
        return self.opening + self.between.join(units) + self.closing


# What was seen to hurt, or may be thought to.
KNOWN = {
    "empty strings": Shape(_HISTORY[0], b'""', _HISTORY[1]),
    "unknown fields": Shape(b'{"history":[],', b'"#":0', b"}"),
    "one field again and again": Shape(b"{", b'"history":["a"]', b"}"),
    "many ids": Shape(_HISTORY[0], b'"#"', _HISTORY[1]),
    "numbers": Shape(_HISTORY[0], b"0", _HISTORY[1]),
    "lists": Shape(_HISTORY[0], b"[]", _HISTORY[1]),
    "lists in lists": Shape(_HISTORY[0], b"[" * 100 + b"]" * 100, _HISTORY[1]),
    "objects": Shape(b"[", b'{"":0}', b"]"),
    "a deep list": Shape(b"", b"[", b"", b""),
    "an endless integer": Shape(b'{"history":[],"k":', b"9", b"}", b""),
    "an endless fraction": Shape(b'{"history":[],"k":0.', b"9", b"}", b""),
    "long integers": Shape(_HISTORY[0], b"9" * 4_300, _HISTORY[1]),
    "brackets in strings": Shape(_HISTORY[0], b'"[{,"', _HISTORY[1]),
    "escaped quotes": Shape(_HISTORY[0], rb'"\"\\"', _HISTORY[1]),
    "one string of escapes": Shape(b'{"history":["', rb"\u00e9", b'"]}', b""),
    "blanks": Shape(b"{", b" ", b"}", b""),
    "backslashes": Shape(b"", b"\\", b"", b""),
    "quotes": Shape(b"", b'"', b"", b""),
    "no text": Shape(b"", b"\xff\x00", b"", b""),
}

_SMALL = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=12,
)


def _units() -> st.SearchStrategy[bytes]:
    ids = st.sampled_from(["#", "item-1", "a" * 256, "é", "\n", '"', "\\", "[", ",", ""])
    digits = st.integers(1, 5_000).map(lambda count: b"7" * count)
    deep = st.tuples(st.integers(1, 300), st.sampled_from([(b"[", b"]"), (b'{"a":', b"0}")]))
    return st.one_of(
        _SMALL.map(lambda value: json.dumps(value).encode()),
        _SMALL.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")),
        ids.map(lambda value: json.dumps(value).encode()),
        digits,
        digits.map(lambda number: b"0." + number),
        digits.map(lambda number: b"-1e-" + number),
        deep.map(lambda drawn: drawn[1][0] * drawn[0] + drawn[1][1] * drawn[0]),
        st.binary(min_size=1, max_size=20),
    )


def shapes() -> st.SearchStrategy[Shape]:
    """Any: what was thought of, and what chance makes of the same pieces."""
    listed = st.builds(
        lambda place, unit, between: Shape(place[0], unit, place[1], between),
        st.sampled_from(_PLACES),
        _units(),
        st.sampled_from([b",", b",", b" , ", b"\n,\t", b"", b":"]),
    )
    fields = st.builds(
        lambda name, value: Shape(b"{", json.dumps(name).encode() + b":" + value, b"}"),
        st.sampled_from(["#", "history", "k", "explain", "é", "a" * 300, ""]),
        _units(),
    )
    return st.sampled_from([*KNOWN.values()]) | listed | fields
