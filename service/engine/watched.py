"""An engine on a GPU that this process may lose: after a fault in its memory, an error of a kernel
or a driver that went away, CUDA refuses whatever the process asks of it, for ever.
"""

import logging
import os
from collections.abc import Callable, Sequence

import numpy as np

from service.engine.engine import Answered, Engine
from service.engine.feeds import History
from service.engine.scorer import why
from service.retrieval.selection import Selection

log = logging.getLogger("bbqrec")


class Watched:
    """An Engine. The process ends where the GPU answers it no more: another one has it anew.

    answers: raises where it does not; asked after a batch has failed, and takes no memory.
    """

    def __init__(self, engine: Engine, answers: Callable[[], object]) -> None:
        self.engine, self.answers = engine, answers
        self.provider, self.retriever = engine.provider, engine.retriever

    def candidates(
        self, histories: Sequence[History], k: Sequence[int], selections: Sequence[Selection]
    ) -> Answered:
        """As the engine does."""
        try:
            return self.engine.candidates(histories, k, selections)
        except ArithmeticError:  # it did answer
            raise
        except Exception:
            self._must_answer()
            raise

    def _must_answer(self) -> None:
        try:
            self.answers()
        except Exception as error:  # each runtime has its own
            log.critical("the GPU answers this process no more, which ends: %s", why(error))
            os._exit(1)


def watched(engine: Engine) -> Engine:
    """The same, with an eye on the GPU where it is on one."""
    if not engine.provider.endswith("cuda"):
        return engine
    return Watched(engine, _torch if engine.provider.startswith("torch") else _onnx())


def _torch() -> None:
    import torch

    from service.engine.replay import RECORDING

    with RECORDING:  # a recording would end of it
        torch.cuda.synchronize()


def _onnx() -> Callable[[], object]:
    import onnxruntime

    there = onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(1, np.float32), "cuda", 0)
    read: Callable[[], object] = there.numpy
    return read
