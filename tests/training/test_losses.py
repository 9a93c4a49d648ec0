import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from training.losses import accidental_hits, sampled_softmax

ITEMS, DRAWN, POSITIONS, WIDTH = 500, 60, 40, 16


def reference(
    user_JD: Tensor, own_JD: Tensor, drawn_CD: Tensor, next_J: Tensor, drawn_C: Tensor
) -> Tensor:
    """The same by autograd: every logit is there, a position's own item among the drawn is not."""
    drawn_JC = user_JD @ drawn_CD.T + torch.log(torch.tensor(ITEMS / DRAWN))
    drawn_JC = drawn_JC.masked_fill(next_J[:, None] == drawn_C, -torch.inf)
    logits = torch.cat([(user_JD * own_JD).sum(-1, keepdim=True), drawn_JC], 1)
    return F.cross_entropy(logits, torch.zeros_like(next_J))


@pytest.mark.parametrize(("mixed", "tolerance"), [(False, 1e-5), (True, 1e-2)])
def test_loss_and_gradient_are_those_of_a_cross_entropy(mixed: bool, tolerance: float) -> None:
    """The loss in float32 always; under autocast the products of the gradient are in bfloat16."""
    torch.manual_seed(0)
    next_J, drawn_C = torch.randint(ITEMS, (POSITIONS,)), torch.randint(ITEMS, (DRAWN,))
    next_J[0] = drawn_C[3]
    user_JD, own_JD, drawn_CD = vectors = [
        torch.randn(size, WIDTH, requires_grad=True) for size in (POSITIONS, POSITIONS, DRAWN)
    ]
    hits = accidental_hits(next_J, drawn_C)
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        loss = sampled_softmax(user_JD, own_JD, drawn_CD, hits, ITEMS)
    expected = reference(user_JD, own_JD, drawn_CD, next_J, drawn_C)
    torch.testing.assert_close(loss, expected)
    gradients = (torch.autograd.grad(each, vectors) for each in (loss, expected))
    for found, wanted in zip(*gradients, strict=True):
        assert found.dtype == torch.float32
        assert (found - wanted).norm() < tolerance * wanted.norm()
