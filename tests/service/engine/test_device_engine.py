"""The engine by IO binding, here on a CPU; on a GPU the same code, and these tests, run there."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
import pytest

from models.contract.bundle import Bundle
from models.contract.types import ItemCodes
from service.engine import device
from service.engine.choose import make_engine
from service.engine.device import DeviceEngine
from service.engine.engine import HostEngine
from service.engine.feeds import History
from service.engine.scorer import OnnxScorer, make_scorer
from service.retrieval.choose import make_retriever
from service.retrieval.live import nothing_lives
from service.retrieval.selection import ANYTHING, Selection
from service.runtime import Device
from service.settings import Settings
from tests.service.engine.shop import Shop
from tests.tiny_bundle import ITEMS

WITH_CUDA = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not WITH_CUDA, reason="no CUDA provider here")),
]


def on(device: Device, tiny: Bundle) -> DeviceEngine:
    live = nothing_lives(*tiny.item_vectors_ND.shape)
    return DeviceEngine(OnnxScorer(tiny, device, 1), 1, live)


def histories(tiny: Bundle) -> list[History]:
    random = np.random.default_rng(0)
    return [
        [ItemCodes(int(n), tiny.semantic_ids.codes_NS[n]) for n in random.integers(0, ITEMS, size)]
        for size in random.integers(1, 13, 40)
    ]


@pytest.mark.parametrize("device", DEVICES)
def test_it_finds_what_the_parts_on_the_host_do(tiny: Bundle, device: Device) -> None:
    parts = make_scorer(tiny, "cpu", 1), make_retriever(tiny, "exact", 1)
    host, engine = HostEngine(*parts), on(device, tiny)
    assert engine.provider == f"onnx-{device}"
    random, made = np.random.default_rng(1), histories(tiny)
    for most in (1, 10, ITEMS + 5):
        k = random.integers(1, most + 1, len(made)).tolist()
        counts = random.integers(0, ITEMS, len(k))
        hidden = [Selection(random.choice(ITEMS, n, replace=False)) for n in counts]
        expected = host.candidates(made, k, hidden).found
        found = engine.candidates(made, k, hidden).found
        np.testing.assert_allclose(found.scores_BK, expected.scores_BK, atol=1e-4)
        assert (found.items_BK == expected.items_BK).mean() > 0.99  # but for ties within rounding


@pytest.mark.parametrize("device", DEVICES)
def test_items_come_and_go(tiny: Bundle, device: Device) -> None:
    shop = Shop(tiny)
    engine = DeviceEngine(OnnxScorer(tiny, device, 1), 1, lambda: shop.live)
    settings = Settings(bundle=tiny.directory, provider="cpu")
    host = make_engine(tiny, settings, lambda: shop.live)
    for more in (0, 3, 40, 200):
        shop.change(more)
        asked = shop.asks(40)
        found, expected = engine.candidates(*asked).found, host.candidates(*asked).found
        np.testing.assert_allclose(found.scores_BK, expected.scores_BK, rtol=1e-3, atol=1e-4)
        assert (found.items_BK == expected.items_BK).mean() > 0.99


def test_rows_that_are_not_there_are_left_out(
    tiny: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TopK on a GPU finds such, of the lowest score there is, where it runs out of others."""
    engine, run = on("cpu", tiny), device._run

    def as_on_a_gpu(session: Any, feeds: Any, outputs: Any) -> Any:
        found = run(session, feeds, outputs)
        if session is not engine.search.session:
            return found
        scores_BK, items_BK = found[0].numpy(), found[1].numpy()
        scores_BK[:, 5:7], items_BK[:, 5:7] = np.finfo(np.float32).min, 2**40
        scores_BK[:, 7:] = -np.inf
        arrays = scores_BK, items_BK, found[2].numpy(), found[3].numpy()
        return [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in arrays]

    monkeypatch.setattr(device, "_run", as_on_a_gpu)
    found = engine.candidates(histories(tiny), [9] * 40, [ANYTHING] * 40).found
    assert (found.items_BK[:, :5] >= 0).all()
    assert (found.items_BK[:, 5:] == -1).all()
    assert (found.scores_BK[:, 5:] == -np.inf).all()


def test_both_steps_are_timed(tiny: Bundle) -> None:
    started = time.perf_counter()
    answered = on("cpu", tiny).candidates(histories(tiny), [3] * 40, [ANYTHING] * 40)
    assert min(answered.encode, answered.search) > 0
    assert answered.encode + answered.search < time.perf_counter() - started


def test_a_vector_of_no_numbers_is_an_error(tiny: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = on("cpu", tiny)
    lost = onnxruntime.OrtValue.ortvalue_from_numpy(
        np.full((1, tiny.item_vectors_ND.shape[1]), np.nan, np.float32)
    )

    class Lost:
        def io_binding(self) -> "Lost":
            return self

        def bind_ortvalue_input(self, *_: object) -> None: ...

        def bind_output(self, *_: object) -> None: ...

        def run_with_iobinding(self, _: object) -> None: ...

        def get_outputs(self) -> Sequence[object]:
            return [lost]

    monkeypatch.setattr(engine.scorer, "session", Lost())
    with pytest.raises(ArithmeticError):
        engine.candidates(histories(tiny)[:1], [3], [ANYTHING])


def test_the_host_has_it_unless_a_gpu_was_asked_for(tiny: Bundle) -> None:
    settings = Settings(bundle=tiny.directory, provider="cpu")
    assert isinstance(make_engine(tiny, settings), HostEngine)


@pytest.mark.skipif(not WITH_CUDA, reason="no CUDA provider here")
def test_a_gpu_has_it_all(tiny: Bundle) -> None:
    settings = Settings(bundle=tiny.directory, provider="cuda")
    assert isinstance(make_engine(tiny, settings), DeviceEngine)
