"""CUDA graphs for the torch fallback: one recording a shape, replayed instead of launched anew.

A small model on a GPU spends its time on launching kernels. A recording takes batches of one shape
only, so batches are padded up to a power of two in both directions, and one is made of each such
shape when it is first met.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Inputs = Sequence[Tensor]
Record = Callable[[Callable[..., Tensor], Inputs], Callable[[], Tensor]]


class Replay:
    """A model that is called with (B, T, S), (B, T) and (B,) inputs, recorded shape by shape."""

    def __init__(self, model: Callable[..., Tensor], max_length: int, record: Record) -> None:
        self.model = model
        self.max_length = max_length
        self.record = record
        self.recordings: dict[tuple[int, int], tuple[Inputs, Callable[[], Tensor]]] = {}

    def __call__(self, *inputs: Tensor) -> Tensor:
        """What the model gives; a view that the next call overwrites."""
        batch, length = inputs[0].shape[:2]
        shape = power_of_two(batch), min(power_of_two(length), self.max_length)
        if shape not in self.recordings:
            # Histories of padding have one item, for a length of zero has no last row.
            blank = [torch.ones((*shape, *x.shape[2:])[: x.dim()]).to(x) for x in inputs]
            self.recordings[shape] = blank, self.record(self.model, blank)
        into, replay = self.recordings[shape]
        for place, given in zip(into, inputs, strict=True):
            place[tuple(map(slice, given.shape))].copy_(given)
        return replay()[:batch]


def power_of_two(size: int) -> int:
    """The next power of two, or ``size`` where it is one."""
    return 1 << (size - 1).bit_length()


def record_cuda(model: Callable[..., Tensor], inputs: Inputs) -> Callable[[], Tensor]:
    """Record a call on the current CUDA device; ``inputs`` are where later calls put theirs."""
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # what a first call sets up must not be recorded
        model(*inputs)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = model(*inputs)

    def replay() -> Tensor:
        graph.replay()
        return output

    return replay
