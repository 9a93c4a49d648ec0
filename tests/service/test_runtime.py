"""ONNX Runtime as the service uses it."""

import threading
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from service.retrieval.matrix import open_search
from service.runtime import Device


@pytest.mark.parametrize(("device", "told"), [("cpu", {}), ("cuda", {"use_tf32": "0"})])
def test_products_are_of_float32_on_any_device(
    monkeypatch: pytest.MonkeyPatch, device: Device, told: dict[str, str]
) -> None:
    """A GPU takes ten bits of each factor for enough: the best items would be others."""
    provider = f"{device.upper()}ExecutionProvider"
    asked: list[Any] = []

    def opened(_graph: bytes, _options: Any, providers: Any) -> Any:
        asked.extend(providers)
        return SimpleNamespace(get_providers=lambda: [provider])

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [provider])
    monkeypatch.setattr(onnxruntime, "InferenceSession", opened)
    open_search(np.ones((3, 2), np.float32), device, threads=1)
    assert asked == [(provider, told)]


def test_others_have_their_turn_while_a_session_is_made() -> None:
    """Or no request is answered while a bundle is loaded beside what serves."""
    vectors_ND = np.random.default_rng(0).standard_normal((100_000, 128), dtype=np.float32)
    waits, done = [], threading.Event()

    def turn() -> None:
        while not done.is_set():
            began = time.perf_counter()
            time.sleep(0.001)
            waits.append(time.perf_counter() - began)

    other = threading.Thread(target=turn)
    other.start()
    began = time.perf_counter()
    open_search(vectors_ND, "cpu", threads=1)
    took = time.perf_counter() - began
    done.set()
    other.join()
    assert max(waits) < took / 2, f"a wait of {max(waits):.3f} s while {took:.3f} s passed"
