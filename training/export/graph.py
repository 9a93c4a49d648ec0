"""A torch module as an ONNX graph."""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

BATCH = torch.export.Dim("batch", min=1)


class Border(NamedTuple):
    """What goes into a graph and comes out, by name, and which axes are dynamic."""

    inputs: Sequence[str]
    outputs: Sequence[str]
    shapes: tuple[Any, ...]


def write_graph(graph: nn.Module, example: tuple[Tensor, ...], border: Border, path: Path) -> None:
    """Export through torch.export."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns about its own internals
        program = torch.onnx.export(
            graph,
            example,
            input_names=border.inputs,
            output_names=border.outputs,
            dynamic_shapes=border.shapes,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    program.save(path, external_data=False)
