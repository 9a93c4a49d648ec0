"""The bookkeeping of recorded shapes; what records on a GPU is replaced by what calls on a CPU."""

import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from service.engine import replay as replays
from service.engine.replay import Replay, call_again, record_cuda

CPU = torch.device("cpu")


def times(by: int, a: Tensor, b: Tensor) -> Tensor:
    return by * a + b


def test_each_shape_is_recorded_once_and_answers_as_a_call_does() -> None:
    recorded: list[list[torch.Size]] = []

    def record(call: Callable[..., Tensor], inputs: Sequence[Tensor]) -> Callable[[], Tensor]:
        recorded.append([given.shape for given in inputs])
        return call_again()(call, inputs)

    replay = Replay(lambda: record, CPU)
    for rows, by in [(3, 1), (3, 2), (5, 1), (3, 1), (5, 1)]:
        a, b = torch.rand(rows, 2), torch.rand(rows, 1)
        assert torch.equal(replay(times, by, [a, b]), by * a + b)
    assert recorded == [[(3, 2), (3, 1)]] * 2 + [[(5, 2), (5, 1)]]
    replay.forget()
    replay(times, 1, [torch.rand(3, 2), torch.rand(3, 1)])
    assert len(recorded) == 4


def test_shapes_beyond_the_most_are_answered_unrecorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "MOST", 2)
    replay = Replay(call_again, CPU)
    for rows in (1, 2, 3, 4):
        a = torch.rand(rows, 1)
        assert torch.equal(replay(times, 3, [a, a]), 4 * a)
    assert len(replay.recordings) == 2


class FakeCuda:
    """torch.cuda as far as recording goes, with what torch refuses: two recordings at once, a pool
    whose recordings are all gone, and one pool on two streams.
    """

    current_stream = Stream = staticmethod(lambda: SimpleNamespace(wait_stream=lambda _: None))
    stream = staticmethod(nullcontext)

    class CUDAGraph:
        def replay(self) -> None:
            """Nothing is computed anew."""

    def __init__(self) -> None:
        self.pools: list[object] = []
        self.streams: dict[int, Any] = {}
        self.used: Counter[int] = Counter()
        self.recording = threading.Lock()

    def graph_pool_handle(self) -> object:
        self.pools.append(object())
        return self.pools[-1]

    @contextmanager
    def graph(
        self, graph: Any, pool: object, stream: Any = None, capture_error_mode: str = "global"
    ) -> Iterator[None]:
        pool_id = id(pool)
        assert capture_error_mode == "thread_local"
        assert self.recording.acquire(blocking=False), "one recording at a time"
        assert self.streams.setdefault(pool_id, stream) is stream
        assert pool_id not in self.used or self.used[pool_id] > 0, "the pool is released"
        self.used[pool_id] += 1
        weakref.finalize(graph, self.used.subtract, [pool_id])
        yield
        self.recording.release()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    made = FakeCuda()
    for name in ("current_stream", "Stream", "stream", "CUDAGraph", "graph_pool_handle", "graph"):
        monkeypatch.setattr(torch.cuda, name, getattr(made, name))
    return made


def test_a_pool_that_nothing_uses_any_more_is_not_used_again(fake: FakeCuda) -> None:
    """torch asserts that it is not: an engine whose tables have grown would never answer again."""
    replay = Replay(record_cuda, CPU)
    for _ in range(3):
        for rows in (1, 2):
            replay(times, 1, [torch.rand(rows, 2), torch.rand(rows, 1)])
        replay.forget()
    assert max(fake.used.values()) == 0
    assert len(fake.used) == 3


def test_one_records_at_a_time_in_a_process(fake: FakeCuda) -> None:
    """As where a new generation is loaded while the old one meets a shape for the first time."""

    def slow(by: int, a: Tensor) -> Tensor:
        time.sleep(0.01)
        return by * a

    def some(_: int) -> None:
        replay = Replay(record_cuda, CPU)
        for rows in range(1, 5):
            replay(slow, 1, [torch.rand(rows)])

    with ThreadPoolExecutor(3) as pool:
        assert len([*pool.map(some, range(3))]) == 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@torch.inference_mode()
def test_a_recording_on_a_gpu_answers_as_a_call_does() -> None:
    replay = Replay(record_cuda, torch.device("cuda"))
    for rows in (3, 2, 3):
        a, b = torch.rand(rows, 2), torch.rand(rows, 1)  # on the host: it copies them
        torch.testing.assert_close(replay(times, 2, [a, b]).cpu(), 2 * a + b)
