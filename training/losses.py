"""Losses that more than one stage uses."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from training.data.batches import Past


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


class Hits(NamedTuple):
    """Places in the (J, C) matrix of positions and negatives, (H,) each."""

    row_H: Tensor
    column_H: Tensor


def no_negatives(next_J: Tensor, drawn_C: Tensor, past: Past | None) -> tuple[Tensor, ...]:
    """An index into the (J, C) logits: which shared negatives must not count as negatives.

    They are a position's own next item or, with ``past``, one that its user already had. The index
    is rows and columns; on a GPU without a past it is a mask, which the host need not wait for.
    """
    if past is None and next_J.device.type != "cpu":
        return (same_JC(next_J, drawn_C),)
    hits = accidental_hits(next_J, drawn_C)
    if past is None:
        return hits
    return tuple(map(torch.cat, zip(hits, past_hits(past, drawn_C), strict=True)))


def same_JC(next_J: Tensor, drawn_C: Tensor) -> Tensor:
    """Where a shared negative is a position's own next item, as a mask."""
    return next_J[:, None] == drawn_C


def accidental_hits(next_J: Tensor, drawn_C: Tensor) -> Hits:
    """Where a shared negative is a position's own next item; no (J, C) comparison is made."""
    sorted_C, place_C = drawn_C.sort()
    first_J = torch.searchsorted(sorted_C, next_J)
    count_J = torch.searchsorted(sorted_C, next_J, right=True) - first_J
    row_H, nth_H = _counted_out(count_J)
    return Hits(row_H, place_C[first_J[row_H] + nth_H])


def past_hits(past: Past, drawn_C: Tensor) -> Hits:
    """Where a shared negative is an item that the user already had at that position."""
    entry_P, column_P = accidental_hits(past.item_E, drawn_C)
    first_P = past.first_E[entry_P]
    pair_H, nth_H = _counted_out(past.stop_E[entry_P] - first_P)
    return Hits(first_P[pair_H] + nth_H, column_P[pair_H])


def _counted_out(count_J: Tensor) -> tuple[Tensor, Tensor]:
    """Each row j ``count_J[j]`` times, and the number of the repetition, from 0: (H,) each."""
    row_H = torch.repeat_interleave(torch.arange(len(count_J), device=count_J.device), count_J)
    before_J = count_J.cumsum(0) - count_J
    return row_H, torch.arange(len(row_H), device=row_H.device) - before_J[row_H]


def scores(user_JD: Tensor, item_CD: Tensor) -> Tensor:
    """Logits (J, C) in float32 whatever surrounds it, as ``sampled_softmax`` has them."""
    with torch.autocast(user_JD.device.type, enabled=False):
        return user_JD.float() @ item_CD.float().T


def sampled_softmax(
    user_JD: Tensor,
    own_JD: Tensor,
    drawn_CD: Tensor,
    none: tuple[Tensor, ...],
    catalogue_size: int,
    weight_J: Tensor | None = None,
) -> Tensor:
    """Cross-entropy of each position's own item against negatives that all positions share.

    Its mean, or with ``weight_J`` its weighted mean. ``none``: where there is no negative, as
    ``no_negatives`` says.

    Negatives are uniform, so their log-q correction is one constant: log(N / C), the share of the
    partition function that they stand for. Float32 whatever surrounds it: a softmax over thousands
    of items is not for bfloat16. Only the products of its gradient are, under autocast.
    """
    correction, device = math.log(catalogue_size / len(drawn_CD)), user_JD.device.type
    mixed = torch.is_autocast_enabled(device)
    products = torch.get_autocast_dtype(device) if mixed else torch.float32
    with torch.autocast(device, enabled=False):
        loss: Tensor = _SampledSoftmax.apply(
            user_JD.float(), own_JD.float(), drawn_CD.float(), correction, products, weight_J, *none
        )  # type: ignore[no-untyped-call]
    return loss


def weighted_mean(loss_J: Tensor, weight_J: Tensor | None) -> Tensor:
    """The mean of the losses, or their weighted mean where there are weights."""
    if weight_J is None:
        return loss_J.mean()
    return (loss_J * weight_J).sum() / weight_J.sum()


class _SampledSoftmax(torch.autograd.Function):
    """One (J, C) matrix, written in place: twice as fast as the same in autograd's own steps."""

    @staticmethod
    def forward(
        ctx: Any,
        user_JD: Tensor,
        own_JD: Tensor,
        drawn_CD: Tensor,
        correction: float,
        products: torch.dtype,
        weight_J: Tensor | None,
        *none: Tensor,
    ) -> Tensor:
        own_J = (user_JD * own_JD).sum(-1)
        weight_JC = user_JD @ drawn_CD.T
        if none[0].dtype == torch.bool:
            weight_JC.masked_fill_(none[0], -torch.inf)
        else:
            weight_JC[none] = -torch.inf
        top_J = torch.maximum(weight_JC.amax(1) + correction, own_J)
        weight_JC.sub_((top_J - correction)[:, None]).exp_()
        own_weight_J = (own_J - top_J).exp()
        total_J = weight_JC.sum(1) + own_weight_J
        kept = user_JD, own_JD, drawn_CD, weight_JC.to(products), total_J, own_weight_J / total_J
        ctx.save_for_backward(*kept, weight_J)
        ctx.indices = len(none)
        return weighted_mean(total_J.log() + top_J - own_J, weight_J)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        *kept, weight_J = ctx.saved_tensors
        user_JD, own_JD, drawn_CD, weight_JC, total_J, own_share_J = kept
        each, products = gradients[0] / len(user_JD), weight_JC.dtype
        if weight_J is not None:
            each = gradients[0] * weight_J / weight_J.sum()
        scale_J1 = (each / total_J)[:, None]
        own_J1 = (each * (own_share_J - 1))[:, None]
        return (
            (weight_JC @ drawn_CD.to(products)) * scale_J1 + own_J1 * own_JD,
            own_J1 * user_JD,
            (weight_JC.T @ (user_JD * scale_J1).to(products)).float(),
            *(None,) * (3 + ctx.indices),
        )
