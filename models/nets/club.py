"""CLUB: an upper bound of mutual information (Cheng et al., ICML 2020)."""

from torch import Tensor, nn


class Club(nn.Module):
    """Bounds I(x; y) with a variational q(y|x) = N(mu(x), diag exp logvar(x)).

    Train q with ``negative_log_likelihood`` on detached inputs, then minimise ``bound`` over the
    encoders with q frozen, in alternation: the bound holds only while q fits.
    """

    def __init__(self, x_size: int, y_size: int, hidden_size: int) -> None:
        super().__init__()
        self.mean = nn.Sequential(
            nn.Linear(x_size, hidden_size), nn.ReLU(), nn.Linear(hidden_size, y_size)
        )
        self.log_variance = nn.Sequential(
            nn.Linear(x_size, hidden_size), nn.ReLU(), nn.Linear(hidden_size, y_size), nn.Tanh()
        )

    def negative_log_likelihood(self, x_BQ: Tensor, y_BQ: Tensor) -> Tensor:
        """-log q(y|x), a mean over the batch, up to a constant."""
        mean_BQ, log_variance_BQ = self.mean(x_BQ), self.log_variance(x_BQ)
        nll_BQ: Tensor = (y_BQ - mean_BQ).square() / log_variance_BQ.exp() + log_variance_BQ
        return nll_BQ.sum(-1).mean() / 2

    def bound(self, x_BQ: Tensor, y_BQ: Tensor) -> Tensor:
        """mean_i [ log q(y_i|x_i) - mean_j log q(y_j|x_i) ], in nats.

        The inner mean over j is taken in closed form from the moments of y: O(B), not O(B^2).
        """
        mean_BQ, log_variance_BQ = self.mean(x_BQ), self.log_variance(x_BQ)
        own_BQ = (y_BQ - mean_BQ).square()
        others_BQ = y_BQ.square().mean(0) - 2 * mean_BQ * y_BQ.mean(0) + mean_BQ.square()
        difference_BQ: Tensor = (others_BQ - own_BQ) / (2 * log_variance_BQ.exp())
        return difference_BQ.sum(-1).mean()
