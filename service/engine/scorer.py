"""Scorer: histories -> user vectors. ONNX Runtime, or torch where asked for or nothing else fits.

The only module, with those that torch_engine.py is made of, that knows torch, which is imported
when used.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from models.contract.bundle import Bundle
from models.contract.types import FloatArray, ItemCodes
from service.engine.feeds import Feeds, History, encode_alike
from service.runtime import Device, ProviderError, open_session
from service.settings import Provider


class Scorer(Protocol):
    """Turns histories into user vectors."""

    provider: str

    def encode(self, histories: Sequence[History]) -> FloatArray:
        """(B, D), one row a history; each has 1 to ``max_history`` items."""


class OnnxScorer:
    """The exported graph on ONNX Runtime."""

    def __init__(self, bundle: Bundle, device: Device, threads: int, *, int8: bool = False) -> None:
        graph = bundle.int8_path if int8 else bundle.onnx_path
        if graph is None:
            raise ProviderError("this bundle has no INT8 graph: its model card says why")
        self.device = device
        # On a CPU nothing of the plain graph is faster for being fused; integers are not without.
        self.session = open_session(graph, device, threads, fused=int8 or device != "cpu")
        self.provider = f"onnx-{device}-int8" if int8 else f"onnx-{device}"
        self.bundle = bundle
        self.inputs = [spec.name for spec in bundle.manifest.onnx_inputs]

    def encode(self, histories: Sequence[History]) -> FloatArray:
        """(B, D)."""
        return encode_alike(self.bundle, histories, self._run)

    def _run(self, batch: Feeds) -> FloatArray:
        named = dict(zip(self.inputs, batch, strict=True))
        vectors_BD: FloatArray = self.session.run(None, named)[0]
        return vectors_BD


class TorchScorer:
    """The same weights in torch."""

    def __init__(self, bundle: Bundle, device: Device, threads: int) -> None:
        self.torch = import_torch(device)
        from models.nets.sequence import HistoryEncoder

        self.torch.set_num_threads(threads)
        self.provider = f"torch-{device}"
        self.device = device
        self.bundle = bundle
        architecture = bundle.manifest.architecture
        self.model = HistoryEncoder.load(bundle.weights_path, architecture).to(device)

    def encode(self, histories: Sequence[History]) -> FloatArray:
        """(B, D)."""
        return encode_alike(self.bundle, histories, self._run)

    def _run(self, batch: Feeds) -> FloatArray:
        with self.torch.inference_mode():
            inputs = [self.torch.from_numpy(array).to(self.device) for array in batch]
            vectors_BD: FloatArray = self.model(*inputs).cpu().numpy()
        return vectors_BD


def import_torch(device: Device) -> Any:
    """The module. Raises ProviderError where it is not installed, or finds no such device."""
    try:
        import torch
    except ImportError as error:
        raise ProviderError("torch is not installed; the extra `torch` brings it") from error
    if device == "cuda" and not torch.cuda.is_available():
        raise ProviderError("torch finds no CUDA device")
    return torch


_MAKERS: dict[Provider, Callable[[Bundle, int], Scorer]] = {
    "cuda": lambda bundle, threads: OnnxScorer(bundle, "cuda", threads),
    "cpu": lambda bundle, threads: OnnxScorer(bundle, "cpu", threads),
    "cpu-int8": lambda bundle, threads: OnnxScorer(bundle, "cpu", threads, int8=True),
    "torch": lambda bundle, threads: TorchScorer(bundle, "cpu", threads),
    "torch-cuda": lambda bundle, threads: TorchScorer(bundle, "cuda", threads),
}


def make_scorer(bundle: Bundle, provider: Provider, threads: int) -> Scorer:
    """The scorer for ``provider``, proved to work.

    Encodes something before it serves: a first run is slow, and may be where a runtime fails. One
    item, and as long a history as there may be, so that no weight is left out. Raises ProviderError
    where it is not to be had.
    """
    most = min(bundle.manifest.architecture.max_history, len(bundle.semantic_ids.codes_NS))
    items = [ItemCodes(row, bundle.semantic_ids.codes_NS[row]) for row in range(most)]
    try:
        scorer = _MAKERS[provider](bundle, threads)
        vectors_BD = scorer.encode([items[:1], items])
    except Exception as error:  # each runtime has its own; all mean the same to the operator
        raise ProviderError(f"provider `{provider}` cannot serve: {why(error)}") from error
    if vectors_BD.shape != (2, bundle.manifest.architecture.vector_size):
        raise ProviderError(f"provider `{provider}` gives vectors of {vectors_BD.shape}")
    if not np.isfinite(vectors_BD).all():
        raise ProviderError(f"provider `{provider}` gives vectors that are not finite")
    return scorer


def why(error: Exception) -> str:
    """The first line of what it says."""
    said = str(error).strip().splitlines() or [repr(error)]
    return said[0]
