"""CUDA graphs: what a batch is answered by, recorded once a shape and replayed from then on.

A small model on a GPU spends its time on launching kernels, one after another. A recording takes
inputs of one shape only, and reads and writes where it did when it was made.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Inputs = Sequence[Tensor]
Call = Callable[..., Any]  # of tensors: gives some
Record = Callable[[Call, Inputs], Callable[[], Any]]

MOST = 64  # recordings; other shapes are launched each time
# A process records one thing at a time, and gives no memory back meanwhile: torch says so of both.
RECORDING = threading.Lock()


class Replay:
    """A function of tensors on a device, recorded by their shapes and ``how`` it is called.

    Those that it is given may lie on the host: they are copied to where a recording reads them.
    """

    def __init__(self, recorder: Callable[[], Record], device: torch.device) -> None:
        self.recorder = recorder
        self.record = recorder()
        self.device = device
        self.recordings: dict[Any, tuple[Inputs, Callable[[], Any]]] = {}

    def __call__(self, call: Call, how: int, inputs: Inputs) -> Any:
        """What ``call(how, *inputs)`` gives; the next call overwrites it."""
        shapes = how, *(given.shape for given in inputs)
        if shapes not in self.recordings:
            if len(self.recordings) >= MOST:
                return call(how, *self.there(inputs))
            into: Inputs = [given.to(self.device, copy=True) for given in inputs]
            self.recordings[shapes] = into, self.record(lambda *given: call(how, *given), into)
        into, replay = self.recordings[shapes]
        for place, given in zip(into, inputs, strict=True):
            place.copy_(given)
        return replay()

    def there(self, inputs: Inputs) -> Inputs:
        """On the device."""
        return [given.to(self.device) for given in inputs]

    def forget(self) -> None:
        """What is read lies elsewhere. The memory that recordings shared goes with the last."""
        self.recordings.clear()
        self.record = self.recorder()


def record_cuda() -> Record:
    """Recordings on the current CUDA device, which share the memory that they work in: one is
    replayed at a time, and what it gave is read before the next.
    """
    pool = torch.cuda.graph_pool_handle()
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # who shares memory shares it, too

    def record(call: Call, inputs: Inputs) -> Callable[[], Any]:
        with RECORDING:
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):  # what a first call sets up must not be recorded
                call(*inputs)
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            # Another generation may be answering meanwhile, in another thread.
            mode = "thread_local"
            with torch.cuda.graph(graph, pool=pool, stream=side, capture_error_mode=mode):
                output = call(*inputs)

        def replay() -> Any:
            graph.replay()
            return output

        return replay

    return record


def call_again() -> Record:
    """Where there is nothing to record by: it is called anew each time."""
    return lambda call, inputs: lambda: call(*inputs)
