"""Stage quantize: a quantizer learned from items' vectors and training histories."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

from models.contract.types import Modality
from models.nets.quantizer import Quantized, Quantizer, ResidualCodebook
from training.config import QuantizeConfig, ResearchConfig
from training.data.batches import EpochShuffle
from training.data.histories import Histories
from training.losses import info_nce
from training.processes import seed_epoch
from training.quantize.transitions import CONTEXT, Transitions
from training.quantize.views import View

_DECAY = 0.7  # what one step further back is worth to it
_WHOLE = ResearchConfig()  # nothing taken apart
_TERMS = ("reconstruction", "codebook", "diversity", "club", "contrast", "sequence")
_LAST_RESEED = 0.8  # share of the epochs after which dead codes are left alone, to settle


class QuantizerModule(L.LightningModule):
    """Trains a Quantizer: CLUB's likelihood step, then one step of everything else."""

    def __init__(
        self,
        quantizer: Quantizer,
        views: Mapping[Modality, View],
        histories: Histories,
        config: QuantizeConfig,
        seed: int,
        research: ResearchConfig = _WHOLE,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.quantizer = quantizer
        self.views = dict(views)
        self.config = config
        self.research = research
        self.seed = seed
        self.seen_N = torch.zeros(quantizer.id_residual.num_embeddings, dtype=torch.bool)
        self.seen_N[torch.from_numpy(np.unique(histories.items)).long()] = True
        self.transitions = Transitions.of(histories)
        self.decay_T = _DECAY ** torch.arange(CONTEXT - 1, -1, -1.0)

    def on_fit_start(self) -> None:
        """Copy what is learned from to the device, once."""
        self._move(self.device)

    def on_fit_end(self) -> None:
        """Copy it back, as Lightning does with the weights."""
        self._move(torch.device("cpu"))

    def _move(self, device: torch.device) -> None:
        self.views = {modality: view.to(device) for modality, view in self.views.items()}
        self.transitions = self.transitions.to(device)
        self.seen_N, self.decay_T = self.seen_N.to(device), self.decay_T.to(device)

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        """One optimiser for the estimators of mutual information, one for the rest."""
        rate = self.config.learning_rate
        # An empty list of estimators (no content at all) is an error to Adam: give it a group.
        estimators = self.quantizer.estimator_parameters() or [torch.nn.Parameter(torch.zeros(1))]
        return (
            torch.optim.Adam(estimators, rate),
            torch.optim.Adam(self.quantizer.encoder_parameters(), rate),
        )

    def on_train_start(self) -> None:
        """Start a codebook from k-means over all modalities that use it; not when resuming."""
        if self.current_epoch == 0:
            for book in self.quantizer.distinct_codebooks():
                book.start_from_kmeans(self.all_bound(book))

    def on_train_epoch_start(self) -> None:
        """An epoch's randomness depends on its number alone."""
        seed_epoch(self.seed, self.current_epoch)

    def training_step(self, items_B: Tensor, batch_index: int) -> None:
        """One likelihood step of CLUB, then one step of encoders, codebook and decoders."""
        estimator, encoder = self.optimizers()  # type: ignore[attr-defined]
        if self.quantizer.clubs and self.config.mutual_information > 0:
            estimator.zero_grad()
            self.manual_backward(self.estimator_loss(items_B))
            estimator.step()
        losses = self.encoder_losses(items_B)
        encoder.zero_grad()
        self.manual_backward(sum(losses.values(), torch.zeros(())))
        torch.nn.utils.clip_grad_norm_(self.quantizer.encoder_parameters(), 5.0)
        encoder.step()
        named = {f"quantize/{name}": loss.detach() for name, loss in losses.items()}
        self.log_dict(named, on_step=False, on_epoch=True, batch_size=len(items_B))

    def on_train_epoch_end(self) -> None:
        """Give dead codes a new start, except near the end."""
        move = self.current_epoch < _LAST_RESEED * self.config.epochs
        books = self.quantizer.distinct_codebooks()
        dead = sum(book.reseed_dead_codes(self.all_bound(book), move) for book in books)
        codes = sum(book.codewords_LKQ.shape[:2].numel() for book in books)
        self.log("quantize/codes_used", 1 - dead / codes)

    def estimator_loss(self, items_B: Tensor) -> Tensor:
        """How badly the estimators predict one branch from the other, branches detached."""
        loss = torch.zeros(())
        for modality in self.quantizer.space.modalities:
            if (club := self.quantizer.club(modality)) is None:
                continue
            x_BX = self._present(modality, items_B)
            with torch.no_grad():
                specific_BQ, bound_BQ = self.quantizer.branches(modality, x_BX)
            loss = loss + club.negative_log_likelihood(specific_BQ, bound_BQ)
        return loss

    def encoder_losses(self, items_B: Tensor) -> dict[str, Tensor]:
        """Every weighted term of the loss, by name."""
        config, losses = self.config, dict.fromkeys(_TERMS, torch.zeros(()))
        quantized: dict[Modality, tuple[Tensor, Tensor]] = {}
        for modality, view in self.views.items():
            there_B = items_B[view.present_N[items_B]]
            if len(there_B) < 2:  # too few for any contrast or variance
                continue
            x_BX = view.vectors_NX[there_B]
            specific_BQ, bound_BQ = self.quantizer.branches(modality, x_BX)
            book = self.quantizer.codebook(modality)
            result: Quantized = book(bound_BQ, config.commitment)
            quantized[modality] = there_B, result.vectors_BQ
            decoded_BX = self.quantizer.decode(modality, specific_BQ, result.vectors_BQ)
            losses["reconstruction"] = losses["reconstruction"] + F.mse_loss(decoded_BX, x_BX)
            losses["codebook"] = losses["codebook"] + result.loss
            if weight := self.research.diversity:
                losses["diversity"] = losses["diversity"] + weight * book.diversity(bound_BQ)
            club = self.quantizer.club(modality)
            if club and config.mutual_information > 0:
                bound = club.bound(specific_BQ, bound_BQ)
                losses["club"] = losses["club"] + config.mutual_information * bound
        losses["contrast"] = config.contrast * self._contrast(quantized)
        losses["sequence"] = config.sequence_contrast * self._sequence_contrast(len(items_B) // 4)
        return losses

    def _contrast(self, quantized: Mapping[Modality, tuple[Tensor, Tensor]]) -> Tensor:
        """Contrastive codebook loss: the modalities of one item, pairwise, against the batch."""
        total, views = torch.zeros(()), list(quantized.values())
        for at, (first_B, first_BQ) in enumerate(views):
            for second_B, second_BQ in views[at + 1 :]:
                both_B = first_B[torch.isin(first_B, second_B)]
                if len(both_B) > 1:
                    rows = torch.isin(first_B, both_B), torch.isin(second_B, both_B)
                    total = total + info_nce(
                        first_BQ[rows[0]], second_BQ[rows[1]], both_B, self.config.temperature
                    )
        return total

    def _sequence_contrast(self, transitions_drawn: int) -> Tensor:
        """Sequence-to-item contrast: a decayed sum of the history against the next item."""
        if self.config.sequence_contrast == 0 or len(self.transitions) < 2:
            return torch.zeros(())
        drawn = torch.randint(len(self.transitions), (max(transitions_drawn, 2),))
        contexts_BT, next_B = self.transitions.take(drawn.to(self.seen_N.device))
        rows_BU = torch.cat([contexts_BT.clamp_min(0), next_B[:, None]], dim=1)
        items_J, place_BU = rows_BU.unique(return_inverse=True)  # type: ignore[no-untyped-call]
        vectors_BUQ = self.item_vectors(items_J)[place_BU]
        weights_BT = self.decay_T * (contexts_BT >= 0)
        sequence_BQ = (vectors_BUQ[:, :-1] * weights_BT[..., None]).sum(1)
        return info_nce(sequence_BQ, vectors_BUQ[:, -1], next_B, self.config.temperature)

    def item_vectors(self, items_B: Tensor) -> Tensor:
        """Quantized vectors of all modalities that are there, and z_ID, summed: (B, Q)."""
        shown_B = self.seen_N[items_B] & self.research.id_residual
        total_BQ = self.quantizer.id_residual(items_B) * shown_B[:, None]
        for modality, view in self.views.items():
            bound_BQ = self.quantizer.branches(modality, view.vectors_NX[items_B]).bound_BQ
            vectors_BQ = self.quantizer.codebook(modality)(bound_BQ).vectors_BQ
            total_BQ = total_BQ + vectors_BQ * view.present_N[items_B, None]
        summed_BQ: Tensor = total_BQ
        return summed_BQ

    @torch.no_grad()
    def all_bound(self, book: ResidualCodebook) -> Tensor:
        """h^B of every item and modality that this codebook quantizes, stacked."""
        return torch.cat(
            [
                self.quantizer.branches(modality, view.vectors_NX[view.present_N]).bound_BQ
                for modality, view in self.views.items()
                if self.quantizer.codebook(modality) is book
            ]
        )

    def _present(self, modality: Modality, items_B: Tensor) -> Tensor:
        view = self.views[modality]
        return view.vectors_NX[items_B[view.present_N[items_B]]]


def fit_quantizer(
    quantizer: Quantizer,
    views: Mapping[Modality, View],
    histories: Histories,
    config: QuantizeConfig,
    seed: int,
    directory: Path,
    callbacks: Sequence[L.Callback] = (),
    research: ResearchConfig = _WHOLE,
    **trainer: Any,
) -> QuantizerModule:
    """Train in place. ``histories`` must hold training positions only.

    A run that was cut short goes on from ``last.ckpt`` in ``directory``.
    """
    module = QuantizerModule(quantizer, views, histories, config, seed, research)
    items: DataLoader[Tensor] = DataLoader(
        torch.arange(len(module.seen_N)),  # type: ignore[arg-type]
        sampler=EpochShuffle(len(module.seen_N), config.batch_size, seed),
        batch_size=None,  # the sampler draws whole batches
        generator=torch.Generator(),  # nothing is drawn from the one that an epoch seeds
    )
    keep = ModelCheckpoint(directory, "last", enable_version_counter=False)
    last = directory / "last.ckpt"
    L.Trainer(
        max_epochs=config.epochs,
        accelerator=config.accelerator,
        devices=1,
        log_every_n_steps=1,
        callbacks=[keep, *callbacks],
        **{"logger": False, **trainer},
    ).fit(module, items, ckpt_path=last if last.exists() else None, weights_only=True)
    return module
