"""What a step of fit is: a loss, an optimiser, and a validation at every epoch's end."""

import math
from collections.abc import Callable
from typing import Any

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from models.contract.semantic_id import SemanticIdTable
from models.nets.rows import code_tensor
from models.nets.sequence import SequenceModel
from models.nets.tower import Tower
from training.config import FitConfig
from training.data.batches import Batch, Past
from training.data.histories import EvaluationSet, Windows
from training.errors import UserError
from training.evaluate.ranking import SequenceRanker, Task, metrics, rank
from training.fit.moving_average import MovingAverage
from training.fit.touched_rows import RowwiseAdamW, TouchedRows, clip, item_embeddings
from training.losses import no_negatives, past_hits, sampled_softmax, scores, weighted_mean
from training.processes import ALONE, Process, seed_epoch

MONITOR = "validation/ndcg@10"


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
        self.register_buffer("codes_NS", code_tensor(table.codes_NS), persistent=False)
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
        """The loss of a batch, which is logged."""
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
        values = metrics(rank(ranker, Task(mine, size, self.filter_seen)), size, (10,))
        # Processes hold shares of users that may differ by one: weigh them, then take the mean.
        weight = len(mine.user) * self.process.count / len(self.validation.user)
        for name in ("ndcg@10", "recall@10"):
            value = torch.tensor(values[name] * weight, device=self.device)
            self.log(f"validation/{name}", value, prog_bar=name == "ndcg@10", sync_dist=True)


class _FiniteRanker(SequenceRanker):
    """A SequenceRanker whose scores have to be finite."""

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
