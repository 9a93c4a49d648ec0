"""Reweighted attention, by its definition."""

import pytest
import torch
from torch import Tensor

from models.contract.config import CodeSpace, Reweighting, SequenceConfig
from models.contract.types import BEHAVIOUR, TEXT
from models.nets.attention import Block, Relation, ReweightedAttention, distances
from models.nets.similarity import Buckets

SPACE = CodeSpace(modalities=(TEXT, BEHAVIOUR), levels=2, codebook_size=4, vector_size=4)
PAIRS, WIDTH, HEADS, BUCKETS, FAR, LENGTH = 2, 8, 2, 5, 4, 7


def config(form: Reweighting = "additive") -> SequenceConfig:
    """Of histories that are shorter than those here: what is further away counts as the last."""
    return SequenceConfig(
        code_space=SPACE, catalogue_size=1, max_history=FAR, width=WIDTH, heads=HEADS,
        reweighting=form, buckets=BUCKETS,
    )  # fmt: skip


def drawn(part: torch.nn.Module) -> torch.nn.Module:
    for parameter in part.parameters():
        torch.nn.init.normal_(parameter)
    return part.eval()


def reweighted(form: Reweighting, logits_BTT: Tensor, bias_BTT: Tensor) -> Tensor:
    if form == "off":
        return logits_BTT
    return logits_BTT + bias_BTT if form == "additive" else logits_BTT * (1 + bias_BTT)


@pytest.mark.parametrize("between", [False, True])
@pytest.mark.parametrize("form", ["off", "additive", "multiplicative"])
def test_it_is_a_softmax_over_what_came_before(form: Reweighting, between: bool) -> None:
    """Of each head, with a bias of the distance, and one of a bucket or between two of them."""
    torch.manual_seed(0)
    attention, x_BTD = ReweightedAttention(config(form)), torch.randn(3, LENGTH, WIDTH)
    drawn(attention)
    index_BPTT = torch.randint(BUCKETS - 1, (3, PAIRS, LENGTH, LENGTH))
    share_BPTT = torch.rand(index_BPTT.shape) if between else None
    buckets = None if form == "off" else Buckets(index_BPTT, share_BPTT)
    query, key, value = attention.project_in(x_BTD).chunk(3, dim=-1)
    later_TT = torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1)
    back_TT = torch.tensor([[max(0, i - j) for j in range(LENGTH)] for i in range(LENGTH)])
    heads = []
    for head, part in enumerate((slice(0, 4), slice(4, 8))):
        bias_BTT = torch.zeros(3, LENGTH, LENGTH)
        of_pairs = () if attention.bucket_bias is None else attention.bucket_bias[:, :, head]
        for pair, of_K in enumerate(of_pairs):
            index_BTT = index_BPTT[:, pair]
            share_BTT = torch.zeros(()) if share_BPTT is None else share_BPTT[:, pair]
            bias_BTT = bias_BTT + of_K[index_BTT].lerp(of_K[index_BTT + 1], share_BTT)
        logits_BTT = reweighted(form, query[..., part] @ key[..., part].mT / 2, bias_BTT)
        assert attention.distance_bias is not None
        logits_BTT = logits_BTT + attention.distance_bias[back_TT.clamp(max=FAR - 1), head]
        heads.append(logits_BTT.masked_fill(later_TT, -torch.inf).softmax(-1) @ value[..., part])
    expected_BTD = attention.project_out(torch.cat(heads, dim=-1))
    found_BTD = attention(x_BTD, Relation(distances(x_BTD), buckets))
    torch.testing.assert_close(found_BTD, expected_BTD)


def test_a_block_whose_gates_are_closed_changes_nothing() -> None:
    torch.manual_seed(0)
    block, x_BTD = Block(config("off")), torch.randn(2, 3, WIDTH)
    drawn(block)
    relation = Relation(distances(x_BTD), None)
    for gate in (block.attention_gate, block.feed_gate):
        assert not torch.allclose(block(x_BTD, relation), x_BTD)
        torch.nn.init.zeros_(gate.weight)
        torch.nn.init.constant_(gate.bias, -torch.inf)
    torch.testing.assert_close(block(x_BTD, relation), x_BTD)
