"""Self-attention reweighted by similarity buckets, inside eSASRec's block or SASRec's."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.contract.config import Reweighting, SequenceConfig
from models.nets.dropout import Dropout
from models.nets.rows import pick
from models.nets.similarity import Buckets, modality_pairs


class Relation(NamedTuple):
    """How the rows of a history that ask stand to all its rows."""

    distance_BRT: Tensor  # steps that a key lies before its query, negative after it; B may be 1
    buckets: Buckets | None  # None where attention is not reweighted


def distances(x_BT: Tensor, row_B: Tensor | None = None) -> Tensor:
    """(B, R, T), or (1, T, T) where all rows ask: steps from query back to key."""
    step_T = torch.arange(x_BT.shape[1], device=x_BT.device)
    asking_BR = step_T[None] if row_B is None else row_B[:, None]
    return asking_BR[:, :, None] - step_T


def linear_parts(layer: nn.Linear, inputs: Sequence[Tensor]) -> list[Tensor]:
    """As many equal parts of a layer's outputs as there are inputs, each part of its own input.

    Parts of the weights are constants of the exported graph; parts of the outputs would be copies.
    """
    step = layer.out_features // len(inputs)
    rows = [slice(i * step, (i + 1) * step) for i in range(len(inputs))]
    pairs = zip(inputs, rows, strict=True)
    return [F.linear(x, layer.weight[part], layer.bias[part]) for x, part in pairs]


class ReweightedAttention(nn.Module):
    """Causal self-attention whose logits are reweighted by similarity buckets.

    additive: ``q_i . k_j / sqrt(d) + u``; multiplicative: ``q_i . k_j / sqrt(d) * (1 + u)``, with
    u the sum over modality pairs of a learned scalar a head and bucket (the form of T5's relative
    bias). u starts at zero, so training starts from the plain backbone, and ``off`` is it exactly.
    """

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.form: Reweighting = config.reweighting
        self.project_in = nn.Linear(config.width, 3 * config.width)
        self.project_out = nn.Linear(config.width, config.width)
        self.dropout = Dropout(config.dropout)
        self.distance_bias: nn.Parameter | None = None  # SASRec's tower has position embeddings
        if config.block == "ligr":
            self.distance_bias = nn.Parameter(torch.zeros(config.max_history, config.heads))
        self.bucket_bias: nn.Parameter | None = None
        if self.form != "off":
            pairs = len(modality_pairs(config.code_space))
            self.bucket_bias = nn.Parameter(torch.zeros(pairs, config.buckets, config.heads))

    def forward(self, x_BTD: Tensor, relation: Relation, row_B: Tensor | None = None) -> Tensor:
        """(B, T, D) -> (B, R, D), for all rows or the one a history that ``row_B`` names."""
        sides = (pick(x_BTD, row_B), x_BTD, x_BTD)
        query, key, value = (self._split(x) for x in linear_parts(self.project_in, sides))
        logits_BHRT = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
        if relation.buckets is not None and self.bucket_bias is not None:
            bias_BHRT = self._bias(relation.buckets, self.bucket_bias)
            logits_BHRT = (
                logits_BHRT + bias_BHRT
                if self.form == "additive"
                else logits_BHRT * (1 + bias_BHRT)
            )
        logits_BHRT = logits_BHRT + self._causal(relation.distance_BRT)
        mixed_BHRd = self.dropout(logits_BHRT.softmax(-1)) @ value
        mixed_BRD: Tensor = self.project_out(mixed_BHRd.transpose(1, 2).flatten(-2))
        return mixed_BRD

    def _split(self, x_BTD: Tensor) -> Tensor:
        """(B, T, D) -> (B, H, T, d), a slice of the width for each head."""
        return x_BTD.reshape(*x_BTD.shape[:2], self.heads, -1).transpose(1, 2)

    def _causal(self, distance_BRT: Tensor) -> Tensor:
        """(B or 1, H, R, T): the bias of a key's distance, and no weight at all for later keys."""
        bias_NH: Tensor | None = self.distance_bias
        if bias_NH is None:
            bias_NH = distance_BRT.new_zeros(1, self.heads).float()
        table_NH = torch.cat([torch.full_like(bias_NH[:1], -1e9), bias_NH])
        place_BRT = (distance_BRT + 1).clamp(0, len(table_NH) - 1)
        return self._look_up(place_BRT, table_NH).permute(0, 3, 1, 2)

    def _bias(self, buckets: Buckets, bias_PKH: Tensor) -> Tensor:
        """u, (B, H, R, T): looked up one pair at a time, so that no (B, P, R, T, H) is held."""
        total_BRTH = torch.zeros(())
        tables = list(bias_PKH)
        if buckets.bucket_of_PJ is not None:
            places = zip(buckets.bucket_of_PJ, tables, strict=True)
            tables = [F.embedding(bucket_of_J, table_KH) for bucket_of_J, table_KH in places]
        for p, table_KH in enumerate(tables):
            low_BRTH = self._look_up(buckets.index_BPRT[:, p], table_KH)
            if buckets.share_BPRT is not None:
                high_BRTH = self._look_up(buckets.index_BPRT[:, p] + 1, table_KH)
                low_BRTH = low_BRTH.lerp(high_BRTH, buckets.share_BPRT[:, p, ..., None])
            total_BRTH = total_BRTH + low_BRTH
        return total_BRTH.permute(0, 3, 1, 2)

    def _look_up(self, index: Tensor, table_KH: Tensor) -> Tensor:
        """Rows of a small table; what is exported, or run on a GPU, is torch's own operation."""
        if self.training and index.device.type == "cpu":
            rows: Tensor = _CountedLookup.apply(index, table_KH)  # type: ignore[no-untyped-call]
            return rows
        return F.embedding(index, table_KH)


class _CountedLookup(torch.autograd.Function):
    """Look-up whose gradient is a weighted count: torch's own adds row by row, 5 times slower."""

    @staticmethod
    def forward(ctx: Any, index: Tensor, table_KH: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.size = len(table_KH)
        return F.embedding(index, table_KH)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        (index,) = ctx.saved_tensors
        place_J, rows_JH = index.flatten(), gradients[0].flatten(0, -2)
        columns = [torch.bincount(place_J, column_J, ctx.size) for column_J in rows_JH.unbind(-1)]
        return None, torch.stack(columns, dim=-1).to(gradients[0].dtype)


class Block(nn.Module):
    """Pre-norm attention and SwiGLU, each behind a gated residual (LiGR, as in eSASRec)."""

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        width = config.width
        self.attention_norm = nn.LayerNorm(width)
        self.attention = ReweightedAttention(config)
        self.attention_gate = nn.Linear(width, width)
        self.feed_norm = nn.LayerNorm(width)
        self.feed_in = nn.Linear(width, 4 * width)
        self.feed_out = nn.Linear(2 * width, width)
        self.feed_gate = nn.Linear(width, width)
        self.dropout = Dropout(config.dropout)

    def forward(self, x_BTD: Tensor, relation: Relation, row_B: Tensor | None = None) -> Tensor:
        """(B, T, D) -> (B, R, D), for all rows or the one a history that ``row_B`` names."""
        attended_BRD: Tensor = self.attention(self.attention_norm(x_BTD), relation, row_B)
        x_BRD = pick(x_BTD, row_B)
        x_BRD = x_BRD + self.dropout(attended_BRD) * self.attention_gate(x_BRD).sigmoid()
        normed_BRD = self.feed_norm(x_BRD)
        gate_BRF, up_BRF = linear_parts(self.feed_in, (normed_BRD, normed_BRD))
        fed_BRD: Tensor = self.feed_out(self.dropout(F.silu(gate_BRF) * up_BRF))
        out_BRD: Tensor = x_BRD + self.dropout(fed_BRD) * self.feed_gate(x_BRD).sigmoid()
        return out_BRD


class SasRecBlock(nn.Module):
    """Pre-norm attention and a ReLU feed-forward, plain residuals (Kang and McAuley, ICDM 2018)."""

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        width = config.width
        self.attention_norm = nn.LayerNorm(width)
        self.attention = ReweightedAttention(config)
        self.feed_norm = nn.LayerNorm(width)
        self.feed_in = nn.Linear(width, width)
        self.feed_out = nn.Linear(width, width)
        self.dropout = Dropout(config.dropout)

    def forward(self, x_BTD: Tensor, relation: Relation, row_B: Tensor | None = None) -> Tensor:
        """(B, T, D) -> (B, R, D), for all rows or the one a history that ``row_B`` names."""
        attended_BRD: Tensor = self.attention(self.attention_norm(x_BTD), relation, row_B)
        x_BRD = pick(x_BTD, row_B) + self.dropout(attended_BRD)
        hidden_BRD = self.dropout(F.relu(self.feed_in(self.feed_norm(x_BRD))))
        out_BRD: Tensor = x_BRD + self.dropout(self.feed_out(hidden_BRD))
        return out_BRD
