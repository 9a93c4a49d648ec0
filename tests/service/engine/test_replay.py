"""The bookkeeping of recorded shapes; what records on a GPU is replaced by what calls on a CPU."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from models.contract.bundle import Bundle
from models.nets.sequence import HistoryEncoder
from service.engine.replay import Replay, power_of_two, record_cuda
from tests.tiny_bundle import ITEMS, MAX_HISTORY


def record(model: Callable[..., Tensor], inputs: Sequence[Tensor]) -> Callable[[], Tensor]:
    return lambda: model(*inputs)


def batch(tiny: Bundle, rows: int, longest: int) -> tuple[Tensor, Tensor, Tensor]:
    items_BT = torch.randint(0, ITEMS, (rows, longest))
    codes_BTS = torch.from_numpy(tiny.semantic_ids.codes_NS.copy())[items_BT]
    read_BTD = torch.from_numpy(tiny.vectors.read(items_BT.numpy()))
    return codes_BTS, read_BTD, torch.randint(1, longest + 1, (rows,))


@torch.inference_mode()
def test_shapes_in_any_order_answer_as_the_model_does(tiny: Bundle) -> None:
    torch.manual_seed(0)
    model = HistoryEncoder.load(tiny.weights_path, tiny.manifest.architecture)
    replay = Replay(model, MAX_HISTORY, record)
    for rows, longest in [(3, 12), (1, 1), (4, 9), (2, 12), (3, 5), (4, 12), (1, 7)]:
        inputs = batch(tiny, rows, longest)
        torch.testing.assert_close(replay(*inputs), model(*inputs), atol=1e-5, rtol=1e-5)
    # 12 is the longest there is: it is not padded to 16.
    assert set(replay.recordings) == {(4, 12), (1, 1), (2, 12), (4, 8), (1, 8)}


def test_sizes_are_rounded_up_to_powers_of_two() -> None:
    assert [power_of_two(n) for n in (1, 2, 3, 4, 5, 32, 33)] == [1, 2, 4, 4, 8, 32, 64]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@torch.inference_mode()
def test_a_recording_on_a_gpu_answers_as_the_model_does(tiny: Bundle) -> None:
    model = HistoryEncoder.load(tiny.weights_path, tiny.manifest.architecture).cuda()
    replay = Replay(model, MAX_HISTORY, record_cuda)
    for rows, longest in [(3, 12), (2, 5), (3, 12)]:
        inputs = [x.cuda() for x in batch(tiny, rows, longest)]
        torch.testing.assert_close(replay(*inputs), model(*inputs), atol=1e-4, rtol=1e-4)
