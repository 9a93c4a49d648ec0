"""A GPU that is lost while it serves, by what a process can tell of it."""

import os
from collections.abc import Sequence
from typing import Any

import pytest

from models.contract.bundle import Bundle
from service.engine import choose
from service.engine.choose import warm_engine
from service.engine.engine import HostEngine
from service.engine.watched import Watched
from service.retrieval.live import nothing_lives
from service.settings import Settings
from tests.service.engine.test_choose import on_a_gpu


class Failing:
    """Fails in the way that it is told."""

    provider, retriever = "torch-cuda", "exact"

    def __init__(self, error: Exception) -> None:
        self.error = error

    def candidates(self, *_: Sequence[Any]) -> Any:
        raise self.error


class Ended(BaseException):
    """The process would have."""


@pytest.fixture(autouse=True)
def ending(monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(status: int) -> None:
        assert status == 1
        raise Ended

    monkeypatch.setattr(os, "_exit", ended)


def lost() -> None:
    raise RuntimeError("CUDA error: an illegal memory access was encountered\nCompile with ...")


def test_a_process_that_has_lost_its_gpu_ends(caplog: pytest.LogCaptureFixture) -> None:
    """Or it would go on, ready, to answer every request with an error."""
    with pytest.raises(Ended):
        Watched(Failing(RuntimeError("CUDA error")), lost).candidates([], [], [])
    assert "no more, which ends: CUDA error: an illegal memory access" in caplog.text
    assert "Compile" not in caplog.text


def test_a_batch_may_fail_of_itself() -> None:
    """As for want of memory: the next one may not."""
    with pytest.raises(RuntimeError, match="out of memory"):
        Watched(Failing(RuntimeError("out of memory")), lambda: None).candidates([], [], [])
    with pytest.raises(ArithmeticError):
        Watched(Failing(ArithmeticError("no numbers")), lost).candidates([], [], [])


def test_only_what_serves_on_a_gpu_is_watched(
    tiny: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = nothing_lives(*tiny.item_vectors_ND.shape)
    settings = Settings(bundle=tiny.directory)
    monkeypatch.setattr(choose, "has_gpu", lambda: False)
    assert isinstance(warm_engine(tiny, settings, live), HostEngine)
    on_a_gpu(monkeypatch, cuda=None, torch_cuda=0.001)
    engine = warm_engine(tiny, settings, live)
    assert isinstance(engine, Watched)
    assert (engine.provider, engine.retriever) == ("torch-cuda", "exact")
