"""Stage fit (and refit): histories -> weights of the reweighted sequence model."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import DDPStrategy
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from models.contract.config import SequenceConfig
from models.contract.memory import Memory
from models.contract.semantic_id import SemanticIdTable
from models.nets.sequence import SequenceModel
from models.nets.tower import Tower
from models.nets.words import ItemWords, WordVectors
from training.config import FitConfig
from training.data.batches import (
    Batch,
    LengthBuckets,
    Past,
    TrainingBatches,
    gather,
    training_windows,
)
from training.data.histories import EvaluationSet, Histories, Windows
from training.errors import UserError
from training.evaluate.ranking import SequenceRanker, metrics, rank
from training.fit.calibrate import Calibration, Exposure
from training.fit.moving_average import MovingAverage
from training.fit.resident import HistoryData
from training.fit.touched_rows import RowwiseAdamW, TouchedRows, clip, item_embeddings
from training.losses import no_negatives, past_hits, sampled_softmax, scores, weighted_mean
from training.memory.memory import Recipe
from training.processes import ALONE, Process, seed_epoch, this_process

MONITOR = "validation/ndcg@10"
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
        self.tables = item_embeddings(model)
        self.averaged = MovingAverage(model, config.averaging, self.tables)
        sums_sparse = process.count == 1 or config.accelerator == "cpu"  # NCCL does not
        if model.config.catalogue_size > config.rows_from and sums_sparse:
            for embedding in self.tables:
                embedding.sparse = True  # its gradients
        self.seed = seed
        self.process = process
        self.config = config
        self.validation = validation
        self.filter_seen = filter_seen
        self.codes_NS: Tensor
        codes_NS = torch.from_numpy(table.codes_NS.astype(np.int64))
        self.register_buffer("codes_NS", codes_NS, persistent=False)
        self.seen_C: Tensor  # items that training sees, in order: negatives are drawn from these
        self.register_buffer("seen_C", model.seen[:, 0].nonzero()[:, 0], persistent=False)
        # Lengths change from batch to batch: one graph takes them all.
        self.learn = torch.compile(self.loss, dynamic=True) if config.compile else self.loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam, with decoupled weight decay where asked for."""
        weights = self.model.parameters()
        rate, decay = self.config.learning_rate, self.config.weight_decay
        fused = self.device.type == "cuda"  # one launch for all weights
        if not any(table.sparse for table in self.tables):
            return torch.optim.AdamW(weights, rate, weight_decay=decay, fused=fused)
        pairs = zip(self.tables, item_embeddings(self.averaged_model()), strict=True)
        rows = {
            table.weight: TouchedRows(table.weight, average.weight, self.config.averaging)
            for table, average in pairs
        }
        optimizer = RowwiseAdamW(weights, rows, rate, decay, fused=fused)
        optimizer.catch_up_before(self.tables)
        return optimizer

    def configure_gradient_clipping(
        self,
        optimizer: Any,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """By the norm of all gradients; Lightning knows no sparse ones, and no fused optimiser."""
        most = float(gradient_clip_val or math.inf)
        if isinstance(self.trainer.optimizers[0], RowwiseAdamW):
            clip(self.model.parameters(), most)
        else:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), most)

    def on_train_epoch_start(self) -> None:
        """An epoch's dropout and negatives depend on its number and the process alone."""
        seed_epoch(self.seed, self.current_epoch, self.process)

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Tell how wrong the next items of a batch were predicted."""
        loss: Tensor = self.learn(batch)
        self.log("train/loss", loss, prog_bar=True, on_step=False, on_epoch=True, batch_size=1)
        return loss

    def loss(self, batch: Batch) -> Tensor:
        """Predict items from those before them; only what is learned reaches the catalogue."""
        history_BT, next_BT = batch.items_BT[:, :-1], batch.items_BT[:, 1:]
        seen = [self._shown(tower.read, history_BT) for tower in self.model.each()]
        hidden_BTD = self.model.encode(torch.cat(seen, dim=-1), self.codes_NS[history_BT])
        assert batch.place_J is not None
        user_JD = hidden_BTD.flatten(0, 1).index_select(0, batch.place_J)
        next_J = next_BT.flatten()[batch.place_J]
        users = zip(self.model.each(), torch.split(user_JD, self.config.width, dim=-1), strict=True)
        more = batch.past, batch.weight_J
        losses = [self.softmax_loss(t, user_JW, next_J, *more) for t, user_JW in users]
        return torch.stack(losses).sum()

    def softmax_loss(
        self,
        tower: Tower,
        user_JW: Tensor,
        next_J: Tensor,
        past: Past | None = None,
        weight_J: Tensor | None = None,
    ) -> Tensor:
        """Cross-entropy of the next item, over all items or over negatives drawn for the batch.

        Every tower learns to score by itself, from negatives of its own: towers that err apart
        from each other are worth more when their scores are summed. Items of ``past`` are none.
        """
        size, negatives = len(self.seen_C), self.config.negatives
        if negatives == 0 or size <= negatives:
            place_J = torch.searchsorted(self.seen_C, next_J)
            logits_JC = scores(user_JW, self._shown(tower.represent, self.seen_C))
            logits_JC = _without(past, self.seen_C, place_J, logits_JC)
            if weight_J is None:
                return F.cross_entropy(logits_JC, place_J)
            return weighted_mean(F.cross_entropy(logits_JC, place_J, reduction="none"), weight_J)
        drawn_C = self.seen_C[torch.randint(size, (negatives,), device=next_J.device)]
        own_JW, drawn_CW = (self._shown(tower.represent, items) for items in (next_J, drawn_C))
        none = no_negatives(next_J, drawn_C, past)
        return sampled_softmax(user_JW, own_JW, drawn_CW, none, size, weight_J)

    def _shown(self, vectors: Callable[..., Tensor], items: Tensor) -> Tensor:
        """A tower's item vectors with ID dropout: a share of the positions show no z_ID.

        That teaches the model to live without it, as it must for an item nobody has clicked yet.
        """
        kept = torch.rand(*items.shape, 1, device=items.device) >= self.config.id_dropout
        return vectors(self.codes_NS[items], items, self.model.seen[items] * kept)

    def on_train_batch_end(self, *_: Any) -> None:
        """The moving average follows."""
        self.averaged.follow(self.model)

    def averaged_model(self) -> SequenceModel:
        """What is validated and exported."""
        return self.averaged.module

    def on_train_epoch_end(self) -> None:
        """Full-ranking validation, once an epoch. Raises UserError where training diverged."""
        if isinstance(optimizer := self.trainer.optimizers[0], RowwiseAdamW):
            optimizer.catch_up_all()
        _must_be_finite(self.trainer.callback_metrics["train/loss"], "the loss")
        if self.validation is None:
            return
        mine = self.validation.share(self.process)
        codes_NS = self.codes_NS.cpu().numpy().astype(np.uint16)
        ranker = _FiniteRanker(self.averaged_model(), codes_NS)
        size = self.model.config.catalogue_size
        values = metrics(rank(ranker, mine, size, self.filter_seen, top=0), size, (10,))
        # Processes hold shares of users that may differ by one: weigh them, then take the mean.
        weight = len(mine.user) * self.process.count / len(self.validation.user)
        for name in ("ndcg@10", "recall@10"):
            value = torch.tensor(values[name] * weight, device=self.device)
            self.log(f"validation/{name}", value, prog_bar=name == "ndcg@10", sync_dist=True)


class _FiniteRanker(SequenceRanker):
    """One that has to score by finite numbers."""

    def score_there(self, items: NDArray[np.int32], windows: Windows) -> Tensor:
        """Scores (B, N). Raises UserError where one is not."""
        scores_BN = super().score_there(items, windows)
        _must_be_finite(torch.stack([*scores_BN.aminmax()]), "a score of the validation part")
        return scores_BN


def _must_be_finite(values: Tensor, what: str) -> None:
    if not values.isfinite().all():
        raise UserError(
            f"training diverged: {what} is not finite any more: try a smaller fit.learning_rate"
        )


def _without(past: Past | None, item_C: Tensor, place_J: Tensor, logits_JC: Tensor) -> Tensor:
    """Logits of all items but those that users had; what comes next stays, had before or not."""
    if past is None:
        return logits_JC
    row_H, column_H = past_hits(past, item_C)
    other_H = column_H != place_J[row_H]
    nothing = logits_JC.new_tensor(-torch.inf)
    return logits_JC.index_put((row_H[other_H], column_H[other_H]), nothing)


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
        codes_NS = torch.from_numpy(table.codes_NS.astype(np.int64))
        model.buckets.set_codebook(codewords_MLKQ)
        model.buckets.set_edges(codes_NS[sample.items_BT], sample.length_B)
    return model


def _windows(histories: Histories, most: int) -> Windows:
    """What is learned from. Raises UserError where nobody has two interactions."""
    windows = training_windows(histories, most)
    _must_tell(windows)
    return windows


def _must_tell(windows: Windows, which: str = "") -> None:
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
    data = _data(histories, config, seed, process, repeats=not filter_seen)
    last = directory / "last.ckpt"
    ckpt_path = last if last.exists() else None
    loop.fit(module, datamodule=data, ckpt_path=ckpt_path, weights_only=True)
    epochs, score = _best(module, keep) if validation else (epochs, None)
    model = module.averaged_model()
    fitted = Fitted(model, epochs, score, model.word_vectors())
    _let_go(loop.optimizers[0])  # before words become tables of all items
    for tower in fitted.model.each():
        tower.fold_words()
    fitted.model.to(loop.strategy.root_device)  # from where Lightning has taken it
    return fitted


def _let_go(optimizer: torch.optim.Optimizer) -> None:
    """What moved the weights makes room, whoever still knows of it."""
    optimizer.state.clear()
    if isinstance(optimizer, RowwiseAdamW):
        optimizer.let_go()


def _best(module: SequenceModule, kept: ModelCheckpoint) -> tuple[int, float]:
    """Take the weights of the epoch with the best validation: which it is, and how good."""
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
    histories: Histories, config: FitConfig, seed: int, process: Process, *, repeats: bool
) -> HistoryData:
    """All windows of all histories, batched by length; processes share ``batch_tokens``."""
    windows = _windows(histories, config.max_history)
    batches = TrainingBatches(histories, windows, repeats=repeats, with_past=config.mask_seen)
    _must_tell(batches.windows, ", the later one with an item that is new to them")
    positions = max(1, config.batch_tokens // process.count)
    return HistoryData(batches, LengthBuckets(batches.windows.length, positions, seed, process))
