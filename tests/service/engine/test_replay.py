"""The bookkeeping of recorded shapes; what records on a GPU is replaced by what calls on a CPU."""

from collections.abc import Callable, Sequence

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
        return call_again(call, inputs)

    replay = Replay(record, CPU)
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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@torch.inference_mode()
def test_a_recording_on_a_gpu_answers_as_a_call_does() -> None:
    replay = Replay(record_cuda(), torch.device("cuda"))
    for rows in (3, 2, 3):
        a, b = torch.rand(rows, 2), torch.rand(rows, 1)  # on the host: it copies them
        torch.testing.assert_close(replay(times, 2, [a, b]).cpu(), 2 * a + b)
