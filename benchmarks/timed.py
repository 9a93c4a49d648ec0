"""Training as every run does it, by the clock, where only time counts."""

import tempfile
import time
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray

from models.contract.semantic_id import SemanticIdTable
from models.nets.sequence import SequenceModel
from training.config import FitConfig
from training.data.histories import EvaluationSet, Histories
from training.fit.fit_sequence import fit_sequence
from training.progress import trainer_options


class EpochClock(L.Callback):
    """When epochs begin, and when their last step is done: seconds."""

    def __init__(self) -> None:
        self.began: list[float] = []  # and when the last has ended
        self.trained: list[float] = []

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.began.append(now(module))

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.trained.append(now(module))

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.began.append(now(module))

    def training(self) -> NDArray[np.float64]:
        """(epochs,): what each took to train, without validation and checkpoints."""
        took: NDArray[np.float64] = np.array(self.trained) - np.array(self.began[:-1])
        return took


def now(module: L.LightningModule) -> float:
    """When a device has done what it was asked for."""
    if module.device.type == "cuda":
        torch.cuda.synchronize(module.device)
    return time.perf_counter()


def fit(
    model: SequenceModel,
    table: SemanticIdTable,
    histories: Histories,
    config: FitConfig,
    clock: L.Callback,
    validation: EvaluationSet | None = None,
    epochs: int = 1,
    **trainer: Any,
) -> None:
    """Train; what it leaves in files is deleted."""
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        options = trainer_options(directory) | {"enable_progress_bar": False, "callbacks": [clock]}
        fit_sequence(
            model, table, histories, validation, config, epochs, 0, directory, **options, **trainer
        )
