"""Losses that more than one stage uses."""

import torch
from torch import Tensor
from torch.nn import functional as F


def info_nce(first_BQ: Tensor, second_BQ: Tensor, identity_B: Tensor, temperature: float) -> Tensor:
    """Two-way InfoNCE: row i of one side belongs to row i of the other, against the batch.

    Rows of the same identity elsewhere in the batch are no negatives: they are masked.
    """
    logits_BB = F.normalize(first_BQ, dim=-1) @ F.normalize(second_BQ, dim=-1).T / temperature
    same_BB = identity_B[:, None] == identity_B[None, :]
    false_negative_BB = same_BB & ~torch.eye(len(same_BB), dtype=torch.bool, device=same_BB.device)
    logits_BB = logits_BB.masked_fill(false_negative_BB, -1e9)
    own_B = torch.arange(len(logits_BB), device=logits_BB.device)
    return (F.cross_entropy(logits_BB, own_B) + F.cross_entropy(logits_BB.T, own_B)) / 2
