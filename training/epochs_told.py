"""How far a stage that learns has come, said where the run says where it stands."""

from pathlib import Path

import lightning as L

from models.contract.standing import Standing


class EpochsTold(L.Callback):
    """After every epoch, in the run's output folder; in a folder of no run nothing is said."""

    def __init__(self, output: Path) -> None:
        self.output = output

    def on_train_epoch_end(self, trainer: L.Trainer, *_: object) -> None:
        """The epochs that are done, of those that there may be."""
        standing = Standing.read(self.output)
        if standing is not None and trainer.is_global_zero and trainer.max_epochs:
            share = min(1.0, (trainer.current_epoch + 1) / trainer.max_epochs)
            standing.model_copy(update={"share": share}).write(self.output)
