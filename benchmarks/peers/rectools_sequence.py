"""Runs inside the peer's own environment: RecTools' SASRec or eSASRec, trained once.

    python rectools_sequence.py JOB_DIR

JOB_DIR holds ``job.json`` (the fields of ``Job``) and ``input.npz``, which
``benchmarks/accuracy/peers.py`` writes. Model, data preparation, loss, optimiser and training loop
are RecTools' own and only configured. What is added here: full-ranking NDCG@10 on validation after
every epoch, which chooses the epoch; a checkpoint an epoch, from which the same command goes on, to
the same weights; ``output.npz`` and ``done.json`` at the end. Standard output gets one JSON line an
epoch.
"""

import fcntl
import json
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel
from rectools.models.nn.transformers.ligr import LiGRLayers
from rectools_vectors import HeldOut, Vectors, ndcg

LAST, BEST, OUTPUT, DONE = "last.ckpt", "best.pt", "output.npz", "done.json"


@dataclass(frozen=True)
class Job:
    """``job.json``: unknown fields are refused."""

    kind: str  # sasrec, esasrec
    width: int
    blocks: int
    heads: int
    dropout: float
    max_history: int
    negatives: int
    learning_rate: float
    batch_size: int  # sessions
    epochs: int  # the most, or exactly so many where there is no validation set
    patience: int
    seed: int
    threads: int
    feed_forward: int = 4  # esasrec: hidden units of the feed-forward, times the width
    filter_seen: bool = True  # items of the history are not candidates
    input: str = ""  # digest of input.npz, for whoever wrote it


class Epochs(Callback):
    """Validates, keeps the best, writes the checkpoint and says so, after every epoch."""

    def __init__(self, job: Job, directory: Path, size: int, validation: HeldOut | None) -> None:
        self.job, self.directory, self.size, self.validation = job, directory, size, validation
        self.curve: list[float] = []
        self.spent = 0.0  # CPU seconds of earlier processes, up to their last checkpoint
        self.random: torch.Tensor | None = None  # state of the generator at that checkpoint

    @property
    def best(self) -> int:
        """Epochs that gave the best validation so far, 0 before the first."""
        return int(np.argmax(self.curve)) + 1 if self.curve else 0

    @property
    def cpu(self) -> float:
        """CPU seconds so far, those of earlier processes included."""
        return self.spent + time.process_time()

    def state_dict(self) -> dict[str, Any]:
        return {"curve": self.curve, "spent": self.cpu, "random": torch.get_rng_state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.curve, self.spent = state_dict["curve"], state_dict["spent"]
        self.random = state_dict["random"]

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        if self.random is not None:  # not sooner: making the data loader draws from it
            torch.set_rng_state(self.random)
        self.marks = time.perf_counter(), time.process_time()
        trainer.should_stop = self.exhausted()  # killed between its last checkpoint and the end

    def exhausted(self) -> bool:
        """Whether patience has run out."""
        return len(self.curve) - self.best >= self.job.patience

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        if self.validation is not None:
            module.eval()
            vectors = Vectors(module, self.size, self.job.max_history)
            found = vectors.users(self.validation), vectors.items()
            self.curve.append(ndcg(self.validation, *found, self.job.filter_seen, cutoff=10))
            module.train()
        if self.validation is None or self.best == len(self.curve):
            save(self.directory / BEST, lambda path: torch.save(module.state_dict(), path))
        save(self.directory / LAST, trainer.save_checkpoint)
        self._say(trainer.current_epoch + 1)
        trainer.should_stop = self.exhausted()

    def _say(self, epoch: int) -> None:
        marks = time.perf_counter(), time.process_time()
        seconds, cpu = (now - then for now, then in zip(marks, self.marks, strict=True))
        self.marks = marks
        value = self.curve[-1] if self.curve else None
        line = {"epoch": epoch, "seconds": seconds, "cpu_seconds": cpu, "validation_ndcg@10": value}
        print(json.dumps(line), flush=True)


def save(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file so that it is there whole or not at all."""
    part = path.with_suffix(".part" + path.suffix)
    write(part)
    part.replace(path)


class GoingOn(Trainer):
    """RecTools calls ``fit`` itself and names no checkpoint; this one goes on from ``LAST``."""

    last: Path

    def fit(self, model: LightningModule, *loaders: Any) -> None:
        if self.last.exists():
            model.is_fitted = True  # else RecTools draws all weights anew when training starts
            super().fit(model, *loaders, ckpt_path=self.last)
        else:
            super().fit(model, *loaders)


def new_trainer(job: Job, last: Path, epochs: Epochs) -> GoingOn:
    """Lightning's loop as RecTools would make it, but for checkpoint and validation."""
    trainer = GoingOn(
        max_epochs=job.epochs,
        accelerator="cpu",
        devices=1,
        callbacks=[epochs],
        logger=False,
        enable_checkpointing=False,  # Epochs writes them, one file and whole
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.last = last
    return trainer


def new_model(job: Job, size: int, trainer: Trainer) -> SASRecModel:
    """RecTools' model, configured; whatever is not named here is RecTools' default."""
    return SASRecModel(
        n_factors=job.width,
        n_blocks=job.blocks,
        n_heads=job.heads,
        dropout_rate=job.dropout,
        session_max_len=job.max_history,
        loss="sampled_softmax" if 0 < job.negatives < size else "softmax",
        n_negatives=job.negatives,
        lr=job.learning_rate,
        batch_size=job.batch_size,
        get_trainer_func=lambda: trainer,
        **(ligr(job) if job.kind == "esasrec" else {}),
    )


def ligr(job: Job) -> dict[str, Any]:
    """What makes a SASRec an eSASRec, beside the loss.

    The layers: README of RecTools. Masked padding: every configuration of the paper's repository
    (blondered/transformer_benchmark); these layers, unlike SASRec's, do not zero it themselves.
    """
    return {
        "transformer_layers_type": LiGRLayers,
        "transformer_layers_kwargs": {"ff_factors_multiplier": job.feed_forward},
        "use_key_padding_mask": True,
    }


def interactions(offsets: np.ndarray, items: np.ndarray) -> Dataset:
    """Training histories as RecTools' dataset; an interaction's time is its place."""
    users = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    place = np.arange(len(items)) - np.repeat(offsets[:-1], np.diff(offsets))
    frame = pd.DataFrame({Columns.User: users, Columns.Item: items.astype(np.int64)})
    frame[Columns.Datetime] = pd.to_datetime(place, unit="s")
    frame[Columns.Weight] = 1.0
    return Dataset.construct(frame)


def run(directory: Path) -> None:
    """Train, or go on, and leave ``output.npz`` and ``done.json``."""
    job = Job(**json.loads((directory / "job.json").read_text()))
    arrays = np.load(directory / "input.npz")
    size, test = int(arrays["catalogue_size"]), HeldOut.read(arrays, "test")
    epochs = Epochs(job, directory, size, HeldOut.read(arrays, "validation"))
    torch.set_num_threads(job.threads)
    seed_everything(job.seed)
    model = new_model(job, size, new_trainer(job, directory / LAST, epochs))
    model.fit(interactions(arrays["offsets"], arrays["items"]))
    epochs = next(c for c in model.fit_trainer.callbacks if isinstance(c, Epochs))  # fit copies it
    module = model.lightning_model
    module.load_state_dict(torch.load(directory / BEST, weights_only=True))
    vectors = Vectors(module.eval(), size, job.max_history)
    found = {"item_vectors": vectors.items(), "test_user_vectors": vectors.users(test)}
    save(directory / OUTPUT, lambda path: np.savez(path, **found))
    facts = {
        "epochs": epochs.best or job.epochs,
        "validation_ndcg@10": max(epochs.curve, default=None),
        "cpu_minutes": epochs.cpu / 60,
        "curve": epochs.curve,
    }
    save(directory / DONE, lambda path: path.write_text(json.dumps(facts, indent=2) + "\n"))
    for name in (LAST, BEST):
        (directory / name).unlink()


def main() -> None:
    warnings.filterwarnings("ignore")
    directory = Path(sys.argv[1])
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # an earlier process may have outlived who started it
        if not (directory / DONE).exists():
            run(directory)


if __name__ == "__main__":
    main()
