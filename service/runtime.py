"""ONNX Runtime: a session on the device that was asked for, or a clear refusal.

The only module that knows onnxruntime, which is imported when used.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray
from onnx import StringStringEntryProto, TensorProto, helper

from service.pace import rest

Device = Literal["cpu", "cuda"]
_NONE: Mapping[str, NDArray[Any]] = MappingProxyType({})
# On a GPU it rounds factors of products in float32 to ten bits, unless told: the best items would
# be others, and similarity buckets, too, which want whole numbers up to 2^24 exactly.
_OPTIONS: Mapping[Device, Mapping[str, str]] = {"cpu": {}, "cuda": {"use_tf32": "0"}}


class ProviderError(Exception):
    """The provider that was asked for is not to be had."""


def elsewhere(name: str, dtype: DTypeLike, *shape: int) -> TensorProto:
    """A constant that the graph names and does not hold: ``open_session`` is given it."""
    place = StringStringEntryProto(key="location", value=name)
    return TensorProto(
        name=name,
        data_type=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)),
        dims=shape,
        data_location=TensorProto.EXTERNAL,
        external_data=[place],
    )


def open_session(
    graph: Path | bytes,
    device: Device,
    threads: int,
    constants: Mapping[str, NDArray[Any]] = _NONE,
    *,
    fused: bool = True,
) -> Any:
    """An ONNX Runtime session on that device and no other. Raises ProviderError without it.

    constants: those that the graph names and does not hold; they must lie where they are for as
    long as the session lives. fused: operators of the graph may be made one; to look for such takes
    twice the time.
    """
    import onnxruntime

    wanted = f"{device.upper()}ExecutionProvider"
    available = onnxruntime.get_available_providers()
    if wanted not in available:
        raise ProviderError(f"this ONNX Runtime has only {', '.join(available)}")
    if device == "cuda":
        onnxruntime.preload_dlls()  # CUDA and cuDNN out of their wheels, beside the system's
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A plan of memory is kept for each shape, and batches have thousands: no faster, and it grows.
    options.enable_mem_pattern = device != "cpu"
    options.log_severity_level = 3  # errors; its warnings are about graphs, not about ours
    if not fused:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    values = map(onnxruntime.OrtValue.ortvalue_from_numpy, constants.values())
    options.add_external_initializers([*constants], [*values])
    providers = [(wanted, _OPTIONS[device])]
    session = onnxruntime.InferenceSession(graph, options, providers=providers)
    rest()
    if (active := session.get_providers()[0]) != wanted:
        raise ProviderError(f"ONNX Runtime could not start {wanted}, and fell back to {active}")
    return session
