"""Frames: whatever is sent comes, in whatever pieces, and what is none is refused."""

import contextlib
import json
import struct
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from service.engine import wire
from service.engine.wire import Frame, FrameError, Incoming

TEXT = st.text(max_size=20)
HEADERS = st.dictionaries(TEXT, st.none() | st.booleans() | st.integers() | TEXT, max_size=4)
ARRAYS = st.lists(
    st.sampled_from(["int64", "float32", "uint16", "uint8"]).flatmap(
        lambda name: arrays_of.arrays(
            np.dtype(name), arrays_of.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=5)
        )
    ),
    max_size=5,
)


@given(st.lists(st.builds(Frame, HEADERS, ARRAYS), max_size=4), st.lists(st.integers(0, 500)))
def test_frames_come_whole_in_whatever_pieces(frames: list[Frame], cuts: list[int]) -> None:
    sent = b"".join(frame.packed() for frame in frames)
    incoming, got = Incoming(), []
    for begin, end in pairwise(sorted({0, *(min(cut, len(sent)) for cut in cuts), len(sent)})):
        got += incoming.feed(sent[begin:end])
    assert [frame.header for frame in got] == [frame.header for frame in frames]
    for frame, came in zip(frames, got, strict=True):
        for array, other in zip(frame.arrays, came.arrays, strict=True):
            assert other.dtype == array.dtype
            assert other.flags.aligned
            np.testing.assert_array_equal(other, array)


def framed(told: bytes, body: bytes = b"") -> bytes:
    return struct.pack("=II", len(told), len(body)) + told + body


@pytest.mark.parametrize(
    "sent",
    [
        framed(b"no JSON"),
        framed(b"[" * 100_000),
        framed(b"\xff\xff"),
        framed(json.dumps([[], []]).encode()),
        framed(json.dumps([{}, [["|O", 1]]]).encode(), bytes(8)),
        framed(json.dumps([{}, [["<i8", 2]]]).encode(), bytes(8)),
        framed(json.dumps([{}, [["<i8", -1]]]).encode(), bytes(8)),
        framed(json.dumps([{}, [["<i8", 1]]]).encode(), bytes(16)),
        framed(json.dumps([{}, [["<i8", 1.0]]]).encode(), bytes(8)),
        framed(json.dumps([{}, [["<i8", 2**40, 2**40]]]).encode(), bytes(8)),
        struct.pack("=II", wire.MOST_HEADER + 1, 0),
        struct.pack("=II", 2, wire.MOST_BYTES + 8),
    ],
)
def test_what_is_no_frame_is_refused(sent: bytes) -> None:
    with pytest.raises(FrameError):
        Incoming().feed(sent)


@given(st.binary(max_size=200))
def test_noise_is_refused_or_waited_for(sent: bytes) -> None:
    with contextlib.suppress(FrameError):
        assert all(isinstance(frame, Frame) for frame in Incoming().feed(sent))


def test_what_is_too_large_or_of_another_type_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MOST_BYTES", 64)
    with pytest.raises(FrameError):
        Frame({}, [np.zeros(9, np.int64)]).packed()
    other: Any = Frame({}, [np.zeros(1, np.float64)])
    with pytest.raises(FrameError):
        Incoming().feed(other.packed())
