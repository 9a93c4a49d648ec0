import torch

from models.nets.club import Club


def trained_bound(x_BQ: torch.Tensor, y_BQ: torch.Tensor) -> float:
    """Fit the estimator on one half, bound the other: an overfitted q bounds nothing."""
    (x_BQ, held_x_BQ), (y_BQ, held_y_BQ) = x_BQ.chunk(2), y_BQ.chunk(2)
    torch.manual_seed(0)
    club = Club(x_BQ.shape[1], y_BQ.shape[1], 32)
    optimizer = torch.optim.Adam(club.parameters(), 1e-2)
    for _ in range(200):
        optimizer.zero_grad()
        club.negative_log_likelihood(x_BQ, y_BQ).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return float(club.bound(held_x_BQ, held_y_BQ).detach())


def test_bound_is_near_zero_for_independent_and_large_for_dependent_variables() -> None:
    generator = torch.Generator().manual_seed(1)
    x_BQ = torch.randn(4000, 4, generator=generator)
    noise_BQ = torch.randn(4000, 4, generator=generator)
    assert trained_bound(x_BQ, noise_BQ) < 0.5
    assert trained_bound(x_BQ, x_BQ + 0.5 * noise_BQ) > 2.0


def test_the_closed_form_equals_the_double_sum() -> None:
    torch.manual_seed(0)
    club, x_BQ, y_BQ = Club(3, 3, 8), torch.randn(7, 3), torch.randn(7, 3)
    mean_BQ, log_variance_BQ = club.mean(x_BQ), club.log_variance(x_BQ)

    def log_q(i: int, j: int) -> torch.Tensor:
        squared_Q: torch.Tensor = (y_BQ[j] - mean_BQ[i]).square() / log_variance_BQ[i].exp()
        return -squared_Q.sum() / 2

    rows = [log_q(i, i) - torch.stack([log_q(i, j) for j in range(7)]).mean() for i in range(7)]
    torch.testing.assert_close(club.bound(x_BQ, y_BQ), torch.stack(rows).mean())


def test_an_estimator_is_only_so_sure() -> None:
    """Whatever it is told: of one that is surer, and wrong, the loss explodes."""
    torch.manual_seed(0)
    assert Club(3, 3, 8).log_variance(1e6 * torch.randn(20, 3)).abs().max() <= 1
