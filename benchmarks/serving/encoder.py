"""The encoder: torch, compiled torch, ONNX Runtime, beside what the core's arithmetic allows."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.serving import drawn_bundle
from benchmarks.serving.machine import MATRIX_PRODUCTS, bytes_per_ms, interleaved, matrix_product
from benchmarks.serving.rows import Row
from models.contract.bundle import Bundle
from models.contract.config import SequenceConfig
from models.contract.types import ItemCodes
from models.nets.sequence import HistoryEncoder
from models.nets.similarity import modality_pairs
from service.engine.feeds import History, feeds
from service.engine.scorer import OnnxScorer

WHAT = "encoder"
MODELS = {"d=128, 2 blocks": drawn_bundle.WIDE, "default": drawn_bundle.DEFAULT}
FLOOR = "floor (arithmetic)"
Encode = Callable[[Sequence[History]], Any]
_ITEMS = 12_000
_REFERENCE = "torch eager"
_PRODUCT = "matrix product"


class Work(NamedTuple):
    """What cannot be avoided for one history."""

    products: int  # multiply-adds
    bytes: int  # of tables and weights


class Size(NamedTuple):
    """Of a batch, all of whose histories are equally long."""

    length: int
    batch: int


SIZES = tuple(Size(length, batch) for length in (5, 20, 50, 200) for batch in (1, 8, 32))


def work(config: SequenceConfig, length: int) -> Work:
    """Products and bytes of one history, causal and with the last block's last row only."""
    width, space = config.width, config.code_space
    sums = sum("behaviour" in tower for tower in config.towers)  # W an item, and nothing else
    towers = len(config.towers) - sums
    pairs = len(modality_pairs(space)) if config.reweighting != "off" else 0
    triangle, inner = length * (length + 1) // 2, config.blocks - 1
    # projections and gates of attention 5 W^2, SwiGLU 7 W^2; attention itself W a pair, twice
    whole = inner * (12 * width**2 * length + 2 * width * triangle)
    last = 2 * width**2 * length + 10 * width**2 + 2 * width * length
    similar = pairs * space.vector_size * (triangle * bool(inner) + length)
    seen = towers * width * (space.slots + 2) + sums * width
    gathered = length * (seen + pairs * space.vector_size)
    weights = towers * config.blocks * 12 * width**2
    products = towers * (whole + last) + sums * width * length + similar
    return Work(products, 4 * (gathered + weights))


def rows(
    sizes: Sequence[Size] = SIZES,
    repetitions: int = 5,
    *,
    compiled: bool = True,
) -> Iterator[Row]:
    """CPU milliseconds a history of every variant, on one thread."""
    torch.set_num_threads(1)
    bandwidth = bytes_per_ms()
    for name, config in MODELS.items():
        with tempfile.TemporaryDirectory() as directory:
            found = drawn_bundle.write(Path(directory), config, _ITEMS)
            encoders = _encoders(found, compiled=compiled)
        for size in sizes:
            yield from _of_size(found, encoders, bandwidth, name, size, repetitions)


def _encoders(found: Bundle, *, compiled: bool) -> dict[str, Encode]:
    model = HistoryEncoder.load(found.weights_path, found.manifest.architecture)
    encoders: dict[str, Encode] = {
        _REFERENCE: partial(_in_torch, found, model),
        "onnx fp32": OnnxScorer(found, "cpu", 1).encode,
    }
    if found.int8_path:
        encoders["onnx int8"] = OnnxScorer(found, "cpu", 1, int8=True).encode
    if compiled:
        encoders["torch.compile"] = partial(_in_torch, found, torch.compile(model, dynamic=True))
    return encoders


@torch.inference_mode()
def _in_torch(
    found: Bundle, model: Callable[..., torch.Tensor], made: Sequence[History]
) -> torch.Tensor:
    (batch,) = feeds(found, [made])
    return model(*map(torch.from_numpy, batch))


def _of_size(
    found: Bundle,
    encoders: dict[str, Encode],
    bandwidth: float,
    name: str,
    size: Size,
    repetitions: int,
) -> Iterator[Row]:
    (length, batch), label = size, f"{name}, L={size.length} B={size.batch}"
    random, codes_NS = np.random.default_rng(0), found.semantic_ids.codes_NS
    rows_BT = random.integers(0, _ITEMS, (batch, length))
    made = [[ItemCodes(int(n), codes_NS[n]) for n in row_T] for row_T in rows_BT]
    calls = max(3, 2000 // (length * batch))
    # The matrix product takes turns with them: what a core can do changes with its neighbours.
    encodings = {name: partial(encode, made) for name, encode in encoders.items()}
    taken = interleaved({**encodings, _PRODUCT: matrix_product()}, calls, repetitions)
    products_per_ms = MATRIX_PRODUCTS / taken.pop(_PRODUCT)
    needed = work(found.manifest.architecture, length)
    floor = max(needed.products / products_per_ms, needed.bytes / batch / bandwidth)
    times = {name: ms / batch for name, ms in taken.items()}
    for variant, ms in times.items():
        yield Row(WHAT, variant, label, ms, "ms", _REFERENCE, ms / times[_REFERENCE])
    fastest = min(times, key=times.__getitem__)
    yield Row(WHAT, FLOOR, label, floor, "ms", fastest, floor / times[fastest])
