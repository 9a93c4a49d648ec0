"""Which engine answers where several could; those of a GPU are replaced by others."""

import time
from collections.abc import Sequence
from typing import Any

import pytest

from models.contract.bundle import Bundle
from service.engine import choose
from service.engine.choose import make_engine
from service.engine.engine import Engine, HostEngine
from service.runtime import ProviderError
from service.settings import Provider, Settings

REAL = choose._engine


class Slow:
    """Answers nothing, after so long."""

    retriever = "exact"

    def __init__(self, provider: str, seconds: float) -> None:
        self.provider, self.seconds = provider, seconds

    def candidates(self, *_: Sequence[Any]) -> Any:
        time.sleep(self.seconds)


def on_a_gpu(monkeypatch: pytest.MonkeyPatch, **seconds: float | None) -> None:
    """A GPU's engines that take so long; None: that cannot serve."""

    def made(bundle: Bundle, settings: Settings, provider: Provider, live: Any) -> Engine:
        if "cuda" not in provider:
            return REAL(bundle, settings, provider, live)
        if (took := seconds[provider.replace("-", "_")]) is None:
            raise ProviderError(f"no {provider}")
        return Slow(provider, took)

    monkeypatch.setattr(choose, "has_gpu", lambda: True)
    monkeypatch.setattr(choose, "_engine", made)


@pytest.mark.parametrize(
    ("cuda", "torch_cuda", "chosen"),
    [
        (0.002, 0.02, "cuda"),
        (0.02, 0.002, "torch-cuda"),
        (None, 0.002, "torch-cuda"),
        (0.002, None, "cuda"),
        (None, None, "onnx-cpu"),
    ],
)
def test_auto_takes_the_faster_that_works(
    tiny: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    cuda: float | None,
    torch_cuda: float | None,
    chosen: str,
) -> None:
    on_a_gpu(monkeypatch, cuda=cuda, torch_cuda=torch_cuda)
    assert make_engine(tiny, Settings(bundle=tiny.directory)).provider == chosen


def test_a_gpu_is_looked_for_by_its_driver_alone(
    tiny: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To ask torch takes seconds, and most machines have none."""

    def fails(*_: object) -> Engine:
        raise AssertionError("looked for all the same")

    monkeypatch.setattr(choose, "has_gpu", lambda: False)
    monkeypatch.setattr(choose, "_torch_engine", fails)
    assert isinstance(make_engine(tiny, Settings(bundle=tiny.directory)), HostEngine)


def test_what_torch_fails_with_is_told_in_a_line(
    tiny: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    monkeypatch.setattr(choose, "import_torch", lambda _: None)  # it says that there is a GPU
    with pytest.raises(ProviderError, match="provider `torch-cuda` cannot serve: ") as told:
        make_engine(tiny, Settings(bundle=tiny.directory, provider="torch-cuda"))
    assert "\n" not in str(told.value)
