from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from models.contract.config import CodeSpace
from models.contract.types import BEHAVIOUR, IMAGE, TEXT
from models.nets import quantizer as quantizers
from models.nets.quantizer import Quantizer, ResidualCodebook, kmeans, nearest

SPACE = CodeSpace(modalities=(TEXT, IMAGE, BEHAVIOUR), levels=3, codebook_size=8, vector_size=4)


def test_codes_are_the_nearest_codeword_of_what_is_left_level_by_level() -> None:
    torch.manual_seed(0)
    codebook, h_BQ = ResidualCodebook(SPACE), torch.randn(20, 4)
    found = codebook(h_BQ)
    for row in range(20):
        left_Q = h_BQ[row]
        for level in range(3):
            distance_K = (codebook.codewords_LKQ[level] - left_Q).square().sum(-1)
            assert int(found.codes_BL[row, level]) == int(distance_K.argmin())
            if level == 2:
                torch.testing.assert_close(found.residual_BQ[row], left_Q)
            left_Q = left_Q - codebook.codewords_LKQ[level, distance_K.argmin()].detach()
        torch.testing.assert_close(found.vectors_BQ[row], h_BQ[row] - left_Q)
    torch.testing.assert_close(codebook.residuals(h_BQ, 2), found.residual_BQ)
    assert torch.equal(codebook.residuals(h_BQ, 0), h_BQ)


def test_a_large_catalogue_is_looked_up_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    h_BQ, codebook_KQ = torch.randn(20, 4), torch.randn(8, 4)
    whole_B = nearest(h_BQ, codebook_KQ)
    monkeypatch.setattr(quantizers, "_AT_ONCE", 7)
    assert torch.equal(nearest(h_BQ, codebook_KQ), whole_B)


def test_gradients_pass_straight_through() -> None:
    h_BQ = torch.randn(6, 4, requires_grad=True)
    ResidualCodebook(SPACE)(h_BQ).vectors_BQ.sum().backward()
    assert h_BQ.grad is not None
    assert torch.equal(h_BQ.grad, torch.ones(6, 4))


def test_the_loss_moves_codewords_towards_inputs_and_inputs_towards_codewords() -> None:
    torch.manual_seed(0)
    codebook, h_BQ = ResidualCodebook(SPACE), torch.randn(6, 4, requires_grad=True)
    codebook(h_BQ).loss.backward()
    assert codebook.codewords_LKQ.grad is not None
    assert h_BQ.grad is not None
    assert float(codebook.codewords_LKQ.grad[0].abs().sum()) > 0
    assert float(h_BQ.grad.abs().sum()) > 0


def test_kmeans_finds_separate_clusters() -> None:
    torch.manual_seed(0)
    true_KQ = torch.tensor([[0.0, 0], [10, 0], [0, 10]])
    x_NQ = true_KQ.repeat(50, 1) + 0.1 * torch.randn(150, 2)
    found_KQ = torch.cat([kmeans(x_NQ, 3, 20) for _ in range(5)])
    assert float(torch.cdist(true_KQ, found_KQ).amin(1).max()) < 0.2


def test_starting_from_kmeans_leaves_no_dead_code_and_reseeding_revives_all() -> None:
    torch.manual_seed(0)
    h_NQ = torch.randn(400, 4)
    codebook = ResidualCodebook(SPACE)
    codebook.start_from_kmeans(h_NQ)
    assert codebook.reseed_dead_codes(h_NQ) == 0
    with torch.no_grad():
        codebook.codewords_LKQ[:, :5] = 1e3  # far away: nothing will choose them
    assert codebook.reseed_dead_codes(h_NQ) == 15
    assert codebook.reseed_dead_codes(h_NQ) < 3


def test_diversity_is_lost_as_fewer_codes_are_used() -> None:
    space = SPACE.model_copy(update={"levels": 1, "vector_size": 8})
    codebook, words_KQ = ResidualCodebook(space), 10 * torch.eye(8)
    codebook.codewords_LKQ.data[0] = words_KQ
    even, one = codebook.diversity(words_KQ), codebook.diversity(words_KQ[:1].expand(8, -1))
    assert float(even.detach()) == pytest.approx(0, abs=1e-3)
    assert float(one.detach()) == pytest.approx(np.log(8), abs=1e-2)


@pytest.mark.parametrize("shared", [True, False])
def test_what_was_learned_is_loaded(shared: bool, tmp_path: Path) -> None:
    sizes = dict(zip(SPACE.modalities, (6, 7, 4), strict=True))
    quantizer = Quantizer(SPACE, sizes, 5, 8, shared)
    save_file(quantizer.state_dict(), tmp_path / "weights")
    loaded = Quantizer.load(tmp_path / "weights", SPACE)
    assert not loaded.training
    assert len(loaded.distinct_codebooks()) == (1 if shared else 3)
    for modality, size in sizes.items():
        x_BX = torch.randn(9, size)
        found = [
            one.codebook(modality)(one.branches(modality, x_BX).bound_BQ).codes_BL
            for one in (quantizer, loaded)
        ]
        assert torch.equal(*found)


def test_only_content_has_a_specific_branch_and_all_parameters_have_one_optimiser() -> None:
    quantizer = Quantizer(
        SPACE, dict.fromkeys(SPACE.modalities, 6), catalogue_size=5, hidden_size=8
    )
    x_BX = torch.randn(3, 6)
    assert quantizer.branches(BEHAVIOUR, x_BX).specific_BQ.shape == (3, 0)
    specific_BQ, bound_BQ = quantizer.branches(TEXT, x_BX)
    assert quantizer.decode(TEXT, specific_BQ, bound_BQ).shape == (3, 6)
    split = len(quantizer.estimator_parameters()) + len(quantizer.encoder_parameters())
    assert split == len(list(quantizer.parameters()))
