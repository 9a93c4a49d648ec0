"""Scorer: histories -> user vectors. ONNX Runtime, or torch where asked for or nothing else fits.

The only module that knows torch and onnxruntime; each is imported only when it is used.
"""

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from models.bundle import Bundle
from models.types import FloatArray, ItemCodes
from service.settings import Provider

log = logging.getLogger("bbqrec")
History = Sequence[ItemCodes]


class ProviderError(Exception):
    """The provider that was asked for is not to be had."""


class Scorer(Protocol):
    """Turns histories into user vectors."""

    provider: str

    def encode(self, histories: Sequence[History]) -> FloatArray:
        """(B, D), one row a history; each has 1 to ``max_history`` items."""


class Feeds(NamedTuple):
    """A batch as the graph wants it, in the order of ``bundle.onnx_inputs``."""

    codes_BTS: NDArray[np.int32]
    item_index_BT: NDArray[np.int64]
    length_B: NDArray[np.int64]


def pad(histories: Sequence[History]) -> Feeds:
    """Stack histories, padded on the right to the longest of this batch, no further."""
    length_B = np.array([len(history) for history in histories], np.int64)
    shape = (len(histories), int(length_B.max()))
    codes_BTS = np.zeros((*shape, len(histories[0][0].codes)), np.int32)
    item_index_BT = np.zeros(shape, np.int64)
    for row, history in enumerate(histories):
        codes_BTS[row, : len(history)] = [item.codes for item in history]
        item_index_BT[row, : len(history)] = [item.item_index for item in history]
    return Feeds(codes_BTS, item_index_BT, length_B)


class OnnxScorer:
    """The exported graph on ONNX Runtime."""

    def __init__(self, bundle: Bundle, provider: str, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(bundle.onnx_path, options, providers=[provider])
        if self.session.get_providers()[0] != provider:
            raise ProviderError(f"ONNX Runtime fell back to {self.session.get_providers()[0]}")
        self.provider = f"onnx-{'cuda' if provider.startswith('CUDA') else 'cpu'}"
        self.names = [spec.name for spec in bundle.manifest.onnx_inputs]

    def encode(self, histories: Sequence[History]) -> FloatArray:
        """(B, D)."""
        feeds = dict(zip(self.names, pad(histories), strict=True))
        vectors_BD: FloatArray = self.session.run(None, feeds)[0]
        return vectors_BD


class TorchScorer:
    """The same weights in torch."""

    def __init__(self, bundle: Bundle, device: str, threads: int) -> None:
        import torch

        from models.sequence import SequenceModel

        if device == "cuda" and not torch.cuda.is_available():
            raise ProviderError("torch finds no CUDA device")
        torch.set_num_threads(threads)
        self.provider = f"torch-{device}"
        self.torch: Any = torch
        self.device = device
        weights = bundle.weights_path
        self.model = SequenceModel.load(weights, bundle.manifest.architecture).to(device)

    def encode(self, histories: Sequence[History]) -> FloatArray:
        """(B, D)."""
        with self.torch.inference_mode():
            feeds = [self.torch.from_numpy(feed).to(self.device) for feed in pad(histories)]
            vectors_BD: FloatArray = self.model(*feeds).cpu().numpy()
        return vectors_BD


def make_scorer(bundle: Bundle, provider: Provider, threads: int) -> Scorer:
    """The scorer for ``provider``.

    Raises ProviderError where what was asked for is not there: a GPU that is missing is an error,
    never a silent CPU. ``auto`` takes what it finds, and says in the log what it took.
    """
    if provider == "auto":
        return _first_that_works(bundle, threads)
    if provider == "torch":
        return TorchScorer(bundle, "cpu", threads)
    if provider == "torch-cuda":
        return TorchScorer(bundle, "cuda", threads)
    return _onnx(bundle, provider, threads)


def _onnx(bundle: Bundle, provider: str, threads: int) -> Scorer:
    try:
        import onnxruntime
    except ImportError as error:
        raise ProviderError("onnxruntime is not installed: add the extra `cpu` or `gpu`") from error
    wanted = "CUDAExecutionProvider" if provider == "cuda" else "CPUExecutionProvider"
    available = onnxruntime.get_available_providers()
    if wanted not in available:
        raise ProviderError(
            f"provider `{provider}` was asked for, but this ONNX Runtime has only "
            f"{', '.join(available)}; install the extra `gpu`, or set BBQREC_PROVIDER=cpu"
        )
    return OnnxScorer(bundle, wanted, threads)


def _first_that_works(bundle: Bundle, threads: int) -> Scorer:
    for provider in ("cuda", "cpu"):
        try:
            return _onnx(bundle, provider, threads)
        except Exception as error:  # any fault of a runtime: the next one may do
            log.info("provider %s does not fit: %s", provider, error)
    log.warning("no ONNX provider fits; the torch fallback serves")
    return TorchScorer(bundle, "cpu", threads)
