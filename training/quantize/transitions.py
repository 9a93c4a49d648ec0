"""Steps of histories, as sequence-to-item contrast draws them."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.contract.ragged import nth_of_each
from training.data.histories import Histories

CONTEXT = 5  # items of history that a step looks back on


@dataclass(frozen=True)
class Transitions:
    """Every step of every history from the items before it; contexts are read when taken."""

    items_J: Tensor
    at_E: Tensor  # positions in items of the items that come next
    before_E: Tensor  # how many items of the same history lie before, at most CONTEXT

    @classmethod
    def of(cls, histories: Histories) -> "Transitions":
        """All transitions of these histories."""
        place = nth_of_each(np.diff(histories.offsets))
        at = np.flatnonzero(place > 0)
        before = np.minimum(place[at], CONTEXT).astype(np.uint8)
        return cls(torch.tensor(histories.items), torch.from_numpy(at), torch.from_numpy(before))

    def to(self, device: torch.device) -> "Transitions":
        """The same on another device."""
        return Transitions(*(part.to(device) for part in (self.items_J, self.at_E, self.before_E)))

    def __len__(self) -> int:
        return len(self.at_E)

    def take(self, chosen_B: Tensor) -> tuple[Tensor, Tensor]:
        """Contexts (B, CONTEXT), oldest first, -1 padded on the left, and next items (B,)."""
        at_B = self.at_E[chosen_B]
        steps_T = torch.arange(CONTEXT, 0, -1, device=at_B.device)
        there_BT = self.before_E[chosen_B, None] >= steps_T
        contexts_BT = self.items_J[(at_B[:, None] - steps_T).clamp_min(0)].long()
        return torch.where(there_BT, contexts_BT, -1), self.items_J[at_B].long()
