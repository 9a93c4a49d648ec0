"""Runs inside the peer's own environment: time RecTools' SASRec, one JSON line an epoch.

python rectools_epoch.py SEQUENCES WIDTH BLOCKS HEADS MAX_HISTORY NEGATIVES EPOCHS THREADS
"""

import json
import sys
import time
import warnings
from pathlib import Path

import pandas as pd
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel

warnings.filterwarnings("ignore")


class EpochTimes(Callback):
    """Prints the seconds of every training epoch."""

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.started = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        print(json.dumps({"seconds": time.perf_counter() - self.started}), flush=True)


def main() -> None:
    path = Path(sys.argv[1])
    width, blocks, heads, history, negatives, epochs, threads = map(int, sys.argv[2:])
    torch.set_num_threads(threads)
    rows = [
        (user, item, place)
        for user, line in enumerate(path.read_text().splitlines())
        for place, item in enumerate(line.split()[1:-2])
    ]
    frame = pd.DataFrame(rows, columns=[Columns.User, Columns.Item, Columns.Datetime])
    frame[Columns.Datetime] = pd.to_datetime(frame[Columns.Datetime], unit="s")
    frame[Columns.Weight] = 1.0

    def trainer() -> Trainer:
        return Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[EpochTimes()],
        )

    SASRecModel(
        n_factors=width,
        n_blocks=blocks,
        n_heads=heads,
        session_max_len=history,
        loss="sampled_softmax",
        n_negatives=negatives,
        batch_size=128,
        get_trainer_func=trainer,
    ).fit(Dataset.construct(frame))


if __name__ == "__main__":
    main()
