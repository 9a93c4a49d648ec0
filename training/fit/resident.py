"""Histories kept on the device that trains: a step sends only the indices of its windows there.

The host also says how long the longest window is and how many positions are learned from. It knows
both, and would have to wait for the device to tell.
"""

from typing import NamedTuple

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from training.data.batches import Asked, Batch, LengthBuckets, TrainingBatches


class Resident(NamedTuple):
    """Interactions I and windows W of them, on one device."""

    items_I: Tensor
    learned_I: Tensor  # whether it is learned that this came next
    weight_I: Tensor | None  # what each counts in the loss; None: they count alike
    start_W: Tensor
    length_W: Tensor

    @classmethod
    def of(cls, batches: TrainingBatches, device: torch.device) -> "Resident":
        """Everything that ``batches`` may ask for."""
        weights, windows = batches.histories.weights, batches.windows
        return cls(
            torch.tensor(batches.histories.items, device=device),
            torch.tensor(batches.learned, device=device),
            None if weights is None else torch.tensor(weights, device=device),
            torch.tensor(windows.start, device=device),
            torch.tensor(windows.length, device=device),
        )

    def gather(self, asked: Asked) -> Batch:
        """The windows that are asked for, on the device."""
        start_B, length_B = self.start_W[asked.row_B], self.length_W[asked.row_B]
        reach_T = torch.arange(asked.longest, device=start_B.device)
        inside_BT = reach_T < length_B[:, None]
        at_BT = (start_B[:, None] + reach_T) * inside_BT
        items_BT = self.items_I[at_BT].long() * inside_BT
        next_P = at_BT[:, 1:].flatten()
        learned_P = inside_BT[:, 1:].flatten() & self.learned_I[next_P]
        place_J = torch.nonzero_static(learned_P, size=asked.learned)[:, 0]
        weight_J = None if self.weight_I is None else self.weight_I[next_P[place_J]]
        return Batch(items_BT, length_B, place_J, asked.past, weight_J)


class HistoryData(L.LightningDataModule):
    """The batches of a training."""

    windows: Resident

    def __init__(self, batches: TrainingBatches, order: LengthBuckets) -> None:
        super().__init__()
        self.batches = batches
        self.order = order

    def setup(self, stage: str) -> None:
        """Copy the histories to the model's device, once."""
        assert self.trainer is not None
        self.device = self.trainer.strategy.root_device
        self.windows = Resident.of(self.batches, self.device)

    def train_dataloader(self) -> DataLoader[Asked]:
        """What each step asks for; from pinned memory it is sent without waiting."""
        return DataLoader(
            self.batches,
            sampler=self.order,
            batch_size=None,  # the sampler draws whole batches
            generator=torch.Generator(),  # nothing is drawn from the one that an epoch seeds
            pin_memory=self.device.type == "cuda",
        )

    def on_after_batch_transfer(self, batch: Asked, dataloader_idx: int) -> Batch:
        """Read the windows that are asked for, on the device."""
        return self.windows.gather(batch)

    def teardown(self, stage: str) -> None:
        """Free the device's memory."""
        del self.windows
