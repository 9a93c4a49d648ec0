"""Progress of a stage that trains, in the run's ``training.json``."""

from pathlib import Path

import lightning as L

from models.contract.standing import Standing


class EpochProgress(L.Callback):
    """Says after every epoch how many are done, if the folder is the output of a run."""

    def __init__(self, output: Path) -> None:
        self.output = output

    def on_train_epoch_end(self, trainer: L.Trainer, *_: object) -> None:
        """Write the share of epochs that are done, of the most that there may be."""
        standing = Standing.read(self.output)
        if standing is not None and trainer.is_global_zero and trainer.max_epochs:
            share = min(1.0, (trainer.current_epoch + 1) / trainer.max_epochs)
            standing.model_copy(update={"share": share}).write(self.output)
