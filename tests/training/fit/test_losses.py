import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from models.contract.ragged import before_each
from training.data.batches import past, training_windows
from training.data.histories import Histories
from training.losses import no_negatives, past_hits, same_JC, sampled_softmax, scores

ITEMS, DRAWN, POSITIONS, WIDTH = 500, 60, 40, 16


def reference(
    user_JD: Tensor,
    own_JD: Tensor,
    drawn_CD: Tensor,
    next_J: Tensor,
    drawn_C: Tensor,
    weight_J: Tensor | None,
) -> Tensor:
    """The same by autograd: every logit is there, a position's own item among the drawn is not."""
    drawn_JC = user_JD @ drawn_CD.T + torch.log(torch.tensor(ITEMS / DRAWN))
    drawn_JC = drawn_JC.masked_fill(next_J[:, None] == drawn_C, -torch.inf)
    logits = torch.cat([(user_JD * own_JD).sum(-1, keepdim=True), drawn_JC], 1)
    each_J = F.cross_entropy(logits, torch.zeros_like(next_J), reduction="none")
    return each_J.mean() if weight_J is None else (each_J * weight_J).sum() / weight_J.sum()


@pytest.mark.parametrize("compared", [False, True], ids=["rows and columns", "a mask"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("mixed", "tolerance"), [(False, 1e-5), (True, 1e-2)])
def test_loss_and_gradient_are_those_of_a_cross_entropy(
    mixed: bool, tolerance: float, weighted: bool, compared: bool
) -> None:
    """The loss in float32 always; under autocast the products of the gradient are in bfloat16."""
    torch.manual_seed(0)
    next_J, drawn_C = torch.randint(ITEMS, (POSITIONS,)), torch.randint(ITEMS, (DRAWN,))
    next_J[0] = drawn_C[3]
    user_JD, own_JD, drawn_CD = vectors = [
        torch.randn(size, WIDTH, requires_grad=True) for size in (POSITIONS, POSITIONS, DRAWN)
    ]
    none = (same_JC(next_J, drawn_C),) if compared else no_negatives(next_J, drawn_C, None)
    weight_J = torch.rand(POSITIONS) if weighted else None
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        loss = sampled_softmax(user_JD, own_JD, drawn_CD, none, ITEMS, weight_J)
    expected = reference(user_JD, own_JD, drawn_CD, next_J, drawn_C, weight_J)
    torch.testing.assert_close(loss, expected)
    gradients = (torch.autograd.grad(each, vectors) for each in (loss, expected))
    for found, wanted in zip(*gradients, strict=True):
        assert found.dtype == torch.float32
        assert (found - wanted).norm() < tolerance * wanted.norm()


def test_logits_of_all_items_are_float32_under_autocast() -> None:
    user_JD, item_CD = torch.randn(POSITIONS, WIDTH), torch.randn(ITEMS, WIDTH)
    with torch.autocast("cpu", torch.bfloat16):
        found_JC = scores(user_JD, item_CD)
    assert (found_JC == user_JD @ item_CD.T).all()


@given(st.lists(st.integers(0, 12), min_size=1, max_size=6), st.integers(1, 5), st.integers(0, 99))
def test_past_hits_are_what_users_had_by_each_position(
    lengths: list[int], most: int, seed: int
) -> None:
    """In windows before this one too; of an item had twice and a negative drawn twice as well."""
    random = np.random.default_rng(seed)
    offsets = before_each(lengths)
    items = random.integers(10, size=offsets[-1], dtype=np.int32)
    data = Histories(offsets, items, np.zeros(len(items), np.uint8))
    windows = training_windows(data, most)
    drawn_C, positions = random.integers(10, size=7), int((windows.length - 1).sum())
    row_H, column_H = past_hits(
        past(data, windows, np.ones(positions, np.bool_)), torch.from_numpy(drawn_C)
    )
    had = [
        set(items[max(o for o in offsets if o <= start) : at + 1].tolist())
        for start, length in zip(windows.start, windows.length, strict=True)
        for at in range(start, start + length - 1)
    ]
    expected = {(j, c) for j, items_J in enumerate(had) for c in range(7) if drawn_C[c] in items_J}
    assert set(zip(row_H.tolist(), column_H.tolist(), strict=True)) == expected
