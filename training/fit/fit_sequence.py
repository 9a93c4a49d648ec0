"""Stage fit (and refit): histories -> weights of the reweighted sequence model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor

from models.contract.config import SequenceConfig
from models.contract.memory import Memory
from models.contract.semantic_id import SemanticIdTable
from models.nets.rows import code_tensor
from models.nets.sequence import SequenceModel
from models.nets.words import ItemWords, WordVectors
from training.config import FitConfig
from training.data.batches import (
    LengthBuckets,
    TrainingBatches,
    gather,
    training_windows,
)
from training.data.histories import EvaluationSet, Histories, Windows
from training.errors import UserError
from training.fit.calibrate import Calibration, Exposure
from training.fit.resident import HistoryData
from training.fit.sequence_module import MONITOR, SequenceModule
from training.fit.touched_rows import RowwiseAdamW
from training.memory.memory import Recipe
from training.processes import Process, this_process

_EDGE_SAMPLE = 256  # histories that the quantile edges of similarity buckets are taken from


class Fitted(NamedTuple):
    """A trained model and what the choice of its epoch was based on."""

    model: SequenceModel
    epochs: int  # epochs that gave the best validation NDCG@10, or all where none was measured
    validation_ndcg: float | None
    words: WordVectors
    borrowing: float = 0.0  # the share that rare and new items took (training/fit/borrowing.py)
    tried: Mapping[float, float] = {}  # shares, and the validation NDCG@10 of each
    recipe: Recipe = Recipe()  # of the memory that is added (training/fit/remember.py)
    memory: Memory | None = None
    calibration: Calibration = Calibration()  # of new items' scores (training/fit/calibrate.py)
    exposure: Exposure | None = None  # of new items on validation, where there were any


def new_model(
    config: SequenceConfig,
    table: SemanticIdTable,
    codewords_MLKQ: Tensor,
    words: ItemWords,
    histories: Histories,
) -> SequenceModel:
    """A fresh model that knows the code space and which items training will see."""
    model = SequenceModel(config)
    model.seen[torch.from_numpy(np.unique(histories.items)).long()] = 1.0
    for tower in model.each():
        tower.learn_words(words)
        tower.start_from_codewords(codewords_MLKQ)
    if config.reweighting != "off":
        windows = _windows(histories, config.max_history)
        chosen = np.random.default_rng(0).permutation(len(windows.start))[:_EDGE_SAMPLE]
        sample = gather(histories.items, Windows(windows.start[chosen], windows.length[chosen]))
        codes_NS = code_tensor(table.codes_NS)
        model.buckets.set_codebook(codewords_MLKQ)
        model.buckets.set_edges(codes_NS[sample.items_BT], sample.length_B)
    return model


def _windows(histories: Histories, most: int) -> Windows:
    """What is learned from. Raises UserError where nobody has two interactions."""
    windows = training_windows(histories, most)
    _require_windows(windows)
    return windows


def _require_windows(windows: Windows, which: str = "") -> None:
    if not len(windows.start):
        raise UserError(
            f"nothing tells what follows what: nobody has two interactions to learn from{which}"
        )


def fit_sequence(
    model: SequenceModel,
    table: SemanticIdTable,
    histories: Histories,
    validation: EvaluationSet | None,
    config: FitConfig,
    epochs: int,
    seed: int,
    directory: Path,
    filter_seen: bool = True,
    callbacks: Sequence[L.Callback] = (),
    **trainer: Any,
) -> Fitted:
    """Train ``model`` on all of ``histories``; with ``validation``, stop early and keep the best.

    Checkpoints go to ``directory``; a run that was cut short goes on from ``last.ckpt``. Started
    by torchrun, every process calls this, and all end with the same weights. ``trainer``: further
    options of Lightning's Trainer, which without any keeps no curves.
    """
    process = this_process()
    module = SequenceModule(model, table, config, validation, filter_seen, seed, process)
    keep = ModelCheckpoint(
        directory,
        "best",
        monitor=MONITOR if validation else None,
        mode="max",
        save_last=True,
        enable_version_counter=False,
    )
    stop = [EarlyStopping(MONITOR, mode="max", patience=config.patience)] if validation else []
    loop = L.Trainer(
        max_epochs=epochs,
        accelerator=config.accelerator,
        precision=config.precision,
        callbacks=[keep, *stop, *callbacks],
        log_every_n_steps=1,
        gradient_clip_val=5.0,
        **_distribution(process, config),
        **{"logger": False, **trainer},
    )
    data = _data(histories, config, seed, process, filter_seen=filter_seen)
    last = directory / "last.ckpt"
    ckpt_path = last if last.exists() else None
    loop.fit(module, datamodule=data, ckpt_path=ckpt_path, weights_only=True)
    epochs, score = _best(module, keep) if validation else (epochs, None)
    model = module.averaged_model()
    fitted = Fitted(model, epochs, score, model.word_vectors())
    _free(loop.optimizers[0])  # before words become tables of all items
    for tower in fitted.model.each():
        tower.fold_words()
    fitted.model.to(loop.strategy.root_device)  # from where Lightning has taken it
    return fitted


def _free(optimizer: torch.optim.Optimizer) -> None:
    """Free the optimiser's state, though Lightning still holds the optimiser."""
    optimizer.state.clear()
    if isinstance(optimizer, RowwiseAdamW):
        optimizer.free()


def _best(module: SequenceModule, kept: ModelCheckpoint) -> tuple[int, float]:
    """Load the weights of the best epoch; its number, from 1, and its validation NDCG@10."""
    best = torch.load(kept.best_model_path, map_location="cpu", weights_only=True)
    module.load_state_dict(best["state_dict"])
    score = float(kept.best_model_score or 0.0)
    return int(best["epoch"]) + 1, score


def _distribution(process: Process, config: FitConfig) -> dict[str, Any]:
    """Lightning's options for one process, or for those that torchrun started."""
    if process.count == 1:
        return {"devices": 1}
    backend = "gloo" if config.accelerator == "cpu" else None
    return {
        "devices": process.local_count,
        "num_nodes": process.count // process.local_count,
        # Buffers never change, and some are as large as the catalogue: not sent at every step.
        "strategy": DDPStrategy(process_group_backend=backend, broadcast_buffers=False),
        "use_distributed_sampler": False,  # LengthBuckets shares the batches out itself
    }


def _data(
    histories: Histories, config: FitConfig, seed: int, process: Process, *, filter_seen: bool
) -> HistoryData:
    """All windows of all histories, batched by length; processes share ``batch_tokens``."""
    windows = _windows(histories, config.max_history)
    batches = TrainingBatches(
        histories, windows, filter_seen=filter_seen, with_past=config.mask_seen
    )
    _require_windows(batches.windows, ", the later one with an item that is new to them")
    positions = max(1, config.batch_tokens // process.count)
    return HistoryData(batches, LengthBuckets(batches.windows.length, positions, seed, process))
