import pytest
import torch

from models.nets.dropout import Dropout


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_the_share_is_dropped_and_the_mean_is_kept(share: float) -> None:
    torch.manual_seed(0)
    x = torch.ones(1001, 99, requires_grad=True)
    out = Dropout(share)(x)
    assert float((out == 0).float().mean()) == pytest.approx(share, abs=0.01)
    assert float(out.detach().mean()) == pytest.approx(1, abs=0.01)
    out.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad != 0, out != 0)


def test_neighbours_are_dropped_independently() -> None:
    torch.manual_seed(1)
    dropped = Dropout(0.5)(torch.ones(100_000)) == 0
    for step in (1, 2, 7, 8, 9):
        both = (dropped[step:] & dropped[:-step]).float().mean()
        assert float(both) == pytest.approx(0.25, abs=0.01)


def test_nothing_is_dropped_in_evaluation_and_seeds_repeat() -> None:
    dropout, x = Dropout(0.5), torch.randn(10, 3)
    torch.manual_seed(2)
    first = dropout(x)
    torch.manual_seed(2)
    assert torch.equal(first, dropout(x))
    assert torch.equal(dropout.eval()(x), x)


def test_elsewhere_it_is_torch_s_own_of_the_same_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.functional, "dropout", lambda x, share: (x.device.type, share))
    found = Dropout(0.3)(torch.ones(3, device="meta"))
    assert found == ("meta", pytest.approx(0.3, abs=1 / 256))
