"""Rows that a step does not touch go on as if it did, for nothing."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.optim import AdamW

from tests.training.fit.test_fit_sequence import CONFIG, fit
from tests.training.small import histories
from training.data.histories import Part, targets
from training.fit.touched_rows import RowwiseAdamW, TouchedRows, clip

ROWS, WIDTH, STEPS, AVERAGING = 40, 6, 400, 0.97
BY_ROWS = CONFIG.model_copy(update={"rows_from": 0})


def touched(step: int) -> Tensor:
    """A few rows often, most of them now and then, some never."""
    random = torch.Generator().manual_seed(step)
    some = torch.randint(3, ROWS - 5, (4,), generator=random)
    return torch.cat([torch.arange(3), torch.tensor(sorted({*some.tolist()}))])


def gradient(weight: Tensor, rows: Tensor, step: int) -> Tensor:
    """Towards a point that differs by the row, with noise."""
    random = torch.Generator().manual_seed(1000 + step)
    noise = torch.randn(len(rows), WIDTH, generator=random)
    return weight[rows] - rows[:, None] / ROWS + 0.3 * noise


def sparse(rows: Tensor, values: Tensor, size: int) -> Tensor:
    """As an embedding's backward makes it."""
    shape = (size, values.shape[1])
    return torch.sparse_coo_tensor(rows, values, shape, check_invariants=False)


@pytest.mark.parametrize(("decay", "far", "behind"), [(0.0, 0.002, 0.05), (0.1, 0.01, 0.1)])
def test_it_is_adam_and_its_moving_average(decay: float, far: float, behind: float) -> None:
    start = torch.randn(ROWS, WIDTH, generator=torch.Generator().manual_seed(0))
    dense, average = nn.Parameter(start.clone()), start.clone()
    adam = AdamW([dense], 0.01, weight_decay=decay)
    for step in range(STEPS):
        rows = touched(step)
        dense.grad = torch.zeros_like(dense)
        dense.grad[rows] = gradient(dense.detach(), rows, step)
        adam.step()
        share = 1.0 if step == 0 else 1 - min(AVERAGING, (1 + step) / (10 + step))
        average.lerp_(dense.detach(), share)

    weight, followed = nn.Parameter(start.clone()), start.clone()
    table = TouchedRows(weight, followed, AVERAGING)
    by_rows = RowwiseAdamW([weight], {weight: table}, 0.01, decay)
    for step in range(STEPS):
        rows = touched(step)
        by_rows.catch_up(weight, torch.cat([rows, rows]))
        values = gradient(weight.detach(), rows, step)
        weight.grad = sparse(rows[None], values, len(weight))
        by_rows.step()
    by_rows.catch_up_all()

    moved = (dense - start).detach().abs().mean()
    assert (weight - dense).detach().abs().max() < far * moved
    assert (followed - average).abs().max() < behind * moved
    never = torch.arange(ROWS - 5, ROWS)
    assert torch.allclose(weight[never], dense[never], rtol=1e-5)


def test_a_model_learned_by_rows_is_the_one_that_is_learned_by_all(tmp_path: Path) -> None:
    held_out = targets(histories(), Part.VALIDATION)
    fitted = [
        fit(tmp_path / str(config.rows_from), 6, held_out, config) for config in (CONFIG, BY_ROWS)
    ]
    dense, by_rows = (
        torch.cat([weight.flatten() for weight in each.model.parameters()]) for each in fitted
    )
    assert (by_rows - dense).abs().max() < 0.02 * dense.abs().max()
    scores = [each.validation_ndcg or 0 for each in fitted]
    assert scores[0] == pytest.approx(scores[1], abs=0.01)


def test_a_run_that_was_cut_short_goes_on_to_the_same_rows(tmp_path: Path) -> None:
    whole = fit(tmp_path / "whole", 4, config=BY_ROWS)
    fit(tmp_path / "cut", 2, config=BY_ROWS)
    resumed = fit(tmp_path / "cut", 4, config=BY_ROWS)
    for one, other in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_gradients_are_clipped_by_the_norm_of_all() -> None:
    dense, some, other = (nn.Parameter(torch.zeros(4, 2)) for _ in range(3))
    dense.grad = torch.full((4, 2), 3.0)
    rows, values = torch.tensor([[1, 1]]), torch.full((2, 2), 2.0)  # together 4 in row 1
    some.grad = sparse(rows, values, 4)
    clip([dense, some, other], 1.0)
    norm = torch.stack([dense.grad.norm(), some.grad.to_dense().norm()]).norm()
    assert float(norm) == pytest.approx(1.0, abs=1e-4)
    assert float(dense.grad[0, 0] / some.grad.to_dense()[1, 0]) == pytest.approx(0.75)
