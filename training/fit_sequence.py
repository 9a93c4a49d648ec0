"""Stage fit (and refit): histories -> weights of the reweighted sequence model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

from models.config import SequenceConfig
from models.semantic_id import SemanticIdTable
from models.sequence import SequenceModel
from training.config import FitConfig
from training.data.batches import Batch, LengthBuckets, Windows, gather, training_windows
from training.data.histories import EvaluationSet, Histories
from training.evaluate import SequenceRanker, metrics, rank
from training.losses import accidental_hits, sampled_softmax
from training.processes import ALONE, Process, seed_epoch, this_process

MONITOR = "validation/ndcg@10"
_EDGE_SAMPLE = 256  # histories that the quantile edges of similarity buckets are taken from


class Fitted(NamedTuple):
    """A trained model and what the choice of its epoch was based on."""

    model: SequenceModel
    epochs: int  # epochs that gave the best validation NDCG@10, or all where none was measured
    validation_ndcg: float | None


class SequenceModule(L.LightningModule):
    """Next-item training of a SequenceModel with sampled softmax over shared negatives."""

    def __init__(
        self,
        model: SequenceModel,
        table: SemanticIdTable,
        config: FitConfig,
        validation: EvaluationSet | None,
        filter_seen: bool,
        seed: int,
        process: Process = ALONE,
    ) -> None:
        super().__init__()
        self.model = model
        self.seed = seed
        self.process = process
        self.config = config
        self.validation = validation
        self.filter_seen = filter_seen
        self.codes_NS: Tensor
        codes_NS = torch.from_numpy(table.codes_NS.astype(np.int64))
        self.register_buffer("codes_NS", codes_NS, persistent=False)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam, with decoupled weight decay where asked for."""
        return torch.optim.AdamW(
            self.parameters(), self.config.learning_rate, weight_decay=self.config.weight_decay
        )

    def on_train_epoch_start(self) -> None:
        """An epoch's batches, dropout and negatives depend on its number and the process alone."""
        loader = self.trainer.train_dataloader
        assert isinstance(loader, DataLoader)
        assert isinstance(loader.batch_sampler, LengthBuckets)
        loader.batch_sampler.set_epoch(self.current_epoch)
        seed_epoch(self.seed, self.current_epoch, self.process)

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Predict each item from those before it; only real positions reach the catalogue."""
        history_BT, next_BT = batch.items_BT[:, :-1], batch.items_BT[:, 1:]
        steps_T = torch.arange(history_BT.shape[1], device=history_BT.device)
        real_BT = steps_T < batch.length_B[:, None] - 1
        hidden_BTD = self.model.encode(self._represent(history_BT), self.codes_NS[history_BT])
        loss = self.softmax_loss(hidden_BTD[real_BT], next_BT[real_BT])
        self.log("train/loss", loss, prog_bar=True, on_step=False, on_epoch=True, batch_size=1)
        return loss

    def softmax_loss(self, user_JD: Tensor, next_J: Tensor) -> Tensor:
        """Cross-entropy of the next item, over all items or over negatives drawn for the batch."""
        size, negatives = self.model.config.catalogue_size, self.config.negatives
        if negatives == 0 or size <= negatives:
            everything_N = torch.arange(size, device=next_J.device)
            return F.cross_entropy(user_JD @ self._represent(everything_N).T, next_J)
        drawn_C = torch.randint(size, (negatives,), device=next_J.device)
        own_JD, drawn_CD = self._represent(next_J), self._represent(drawn_C)
        return sampled_softmax(user_JD, own_JD, drawn_CD, accidental_hits(next_J, drawn_C), size)

    def _represent(self, items: Tensor) -> Tensor:
        """Item vectors with ID dropout: a share of the positions show codes only."""
        keep = torch.rand(*items.shape, 1, device=items.device) >= self.config.id_dropout
        return self.model.represent(self.codes_NS[items], items, keep)

    def on_train_epoch_end(self) -> None:
        """Full-ranking validation, once an epoch."""
        if self.validation is None:
            return
        mine = self.validation.share(self.process)
        ranker = SequenceRanker(self.model, self.codes_NS.cpu().numpy().astype(np.uint16))
        size = self.model.config.catalogue_size
        values = metrics(rank(ranker, mine, size, self.filter_seen, top=10), size, (10,))
        self.model.train()
        # Processes hold shares of users that may differ by one: weigh them, then take the mean.
        weight = len(mine.user) * self.process.count / len(self.validation.user)
        for name in ("ndcg@10", "recall@10"):
            value = torch.tensor(values[name] * weight, device=self.device)
            self.log(f"validation/{name}", value, prog_bar=name == "ndcg@10", sync_dist=True)


def new_model(
    config: SequenceConfig, table: SemanticIdTable, codewords_MLKQ: Tensor, histories: Histories
) -> SequenceModel:
    """A fresh model that knows the code space and which items training will see."""
    model = SequenceModel(config)
    model.seen[torch.from_numpy(np.unique(histories.items)).long()] = 1.0
    if hasattr(model, "code_embedding"):
        _start_from_codewords(model, codewords_MLKQ)
    if config.reweighting != "off":
        windows = training_windows(histories, config.max_history)
        chosen = np.random.default_rng(0).permutation(len(windows.start))[:_EDGE_SAMPLE]
        sample = gather(histories.items, Windows(windows.start[chosen], windows.length[chosen]))
        codes_NS = torch.from_numpy(table.codes_NS.astype(np.int64))
        model.buckets.set_codebook(codewords_MLKQ)
        model.buckets.set_edges(codes_NS[sample.items_BT])
    return model


@torch.no_grad()
def _start_from_codewords(model: SequenceModel, codewords_MLKQ: Tensor) -> None:
    """Start code embeddings as a random rotation of the codewords they stand for.

    Items whose quantized vectors are alike then start alike; size as of z_ID.
    """
    space = model.config.code_space
    rotation_QW = torch.randn(space.vector_size, model.config.width)
    start_MLKW = codewords_MLKQ @ rotation_QW
    start_MLKW *= 0.02 / (start_MLKW.square().sum(1).mean().sqrt() + 1e-12)
    shape = (len(space.modalities), space.levels, space.codebook_size + 1, -1)
    model.code_embedding.weight.view(shape)[:, :, :-1] = start_MLKW


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
    loggers: Sequence[Logger] = (),
    callbacks: Sequence[L.Callback] = (),
    **trainer: Any,
) -> Fitted:
    """Train ``model`` on all of ``histories``; with ``validation``, stop early and keep the best.

    Checkpoints go to ``directory``; a run that was cut short goes on from ``last.ckpt``. Started
    by torchrun, every process calls this, and all end with the same weights.
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
        logger=list(loggers) or False,
        callbacks=[keep, *stop, *callbacks],
        log_every_n_steps=1,
        gradient_clip_val=5.0,
        **_distribution(process, config),
        **trainer,
    )
    batches, last = _batches(histories, config, seed, process), directory / "last.ckpt"
    loop.fit(module, batches, ckpt_path=last if last.exists() else None, weights_only=True)
    if validation is None:
        return Fitted(model, epochs, None)
    best = torch.load(keep.best_model_path, weights_only=True)
    module.load_state_dict(best["state_dict"])
    return Fitted(model, int(best["epoch"]) + 1, float(keep.best_model_score or 0.0))


def _distribution(process: Process, config: FitConfig) -> dict[str, Any]:
    """Lightning's options for one process, or for those that torchrun started."""
    if process.count == 1:
        return {"devices": 1}
    backend = "gloo" if config.accelerator == "cpu" else None
    return {
        "devices": process.local_count,
        "num_nodes": process.count // process.local_count,
        "strategy": DDPStrategy(process_group_backend=backend),
        "use_distributed_sampler": False,  # LengthBuckets shares the batches out itself
    }


def _batches(
    histories: Histories, config: FitConfig, seed: int, process: Process
) -> DataLoader[Batch]:
    """All windows of all histories, batched by length; processes share ``batch_tokens``."""
    windows = training_windows(histories, config.max_history)
    positions = max(1, config.batch_tokens // process.count)
    return DataLoader(
        range(len(windows.start)),  # type: ignore[arg-type]
        batch_sampler=LengthBuckets(windows.length, positions, seed, process),
        collate_fn=lambda rows: gather(
            histories.items, Windows(windows.start[rows], windows.length[rows])
        ),
    )
