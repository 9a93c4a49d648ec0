"""Self-attention reweighted by similarity buckets, inside eSASRec's block or SASRec's."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.config import Reweighting, SequenceConfig
from models.dropout import Dropout
from models.similarity import Buckets, modality_pairs


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
        if config.block == "ligr":  # SASRec's block knows places from position embeddings
            self.distance_bias = nn.Parameter(torch.zeros(config.max_history, config.heads))
        if self.form != "off":
            pairs = len(modality_pairs(config.code_space))
            self.bucket_bias = nn.Parameter(torch.zeros(pairs, config.buckets, config.heads))

    def forward(self, x_BTD: Tensor, buckets: Buckets | None) -> Tensor:
        """(B, T, D) -> (B, T, D). ``buckets`` may be None only when the form is off."""
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.project_in(x_BTD).chunk(3, dim=-1)
        )
        logits_BHTT = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
        if buckets is not None:
            bias_BHTT = self._bias(buckets)
            logits_BHTT = (
                logits_BHTT + bias_BHTT
                if self.form == "additive"
                else logits_BHTT * (1 + bias_BHTT)
            )
        distance_TT = _distances(x_BTD)
        if hasattr(self, "distance_bias"):
            near_TTH = self.distance_bias[distance_TT.clamp(0, len(self.distance_bias) - 1)]
            logits_BHTT = logits_BHTT + near_TTH.permute(2, 0, 1)
        logits_BHTT = logits_BHTT.masked_fill(distance_TT < 0, -1e9)
        mixed_BHTd = self.dropout(logits_BHTT.softmax(-1)) @ value
        mixed_BTD: Tensor = self.project_out(mixed_BHTd.transpose(1, 2).flatten(-2))
        return mixed_BTD

    def _bias(self, buckets: Buckets) -> Tensor:
        """u, (B, H, T, T): looked up one pair at a time, so that no (B, P, T, T, H) is held."""
        total_BTTH = torch.zeros(())
        for p, table_KH in enumerate(self.bucket_bias):
            low_BTTH = self._look_up(buckets.index_BPTT[:, p], table_KH)
            if buckets.share_BPTT is not None:
                high_BTTH = self._look_up(buckets.index_BPTT[:, p] + 1, table_KH)
                low_BTTH = low_BTTH.lerp(high_BTTH, buckets.share_BPTT[:, p, ..., None])
            total_BTTH = total_BTTH + low_BTTH
        return total_BTTH.permute(0, 3, 1, 2)

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

    def forward(self, x_BTD: Tensor, buckets: Buckets | None) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        attended_BTD: Tensor = self.attention(self.attention_norm(x_BTD), buckets)
        x_BTD = x_BTD + self.dropout(attended_BTD) * self.attention_gate(x_BTD).sigmoid()
        gate_BTF, up_BTF = self.feed_in(self.feed_norm(x_BTD)).chunk(2, dim=-1)
        fed_BTD: Tensor = self.feed_out(self.dropout(F.silu(gate_BTF) * up_BTF))
        out_BTD: Tensor = x_BTD + self.dropout(fed_BTD) * self.feed_gate(x_BTD).sigmoid()
        return out_BTD


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

    def forward(self, x_BTD: Tensor, buckets: Buckets | None) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        x_BTD = x_BTD + self.dropout(self.attention(self.attention_norm(x_BTD), buckets))
        hidden_BTD = self.dropout(F.relu(self.feed_in(self.feed_norm(x_BTD))))
        out_BTD: Tensor = x_BTD + self.dropout(self.feed_out(hidden_BTD))
        return out_BTD


def _distances(x_BTD: Tensor) -> Tensor:
    """(T, T): how many steps key j lies before query i; negative in the future."""
    step_T = torch.arange(x_BTD.shape[1], device=x_BTD.device)
    return step_T[:, None] - step_T[None, :]
