"""Figures of codes, by hand."""

import numpy as np
import pytest
import torch

from training.quantize import health


def test_a_code_that_stands_for_a_missing_modality_is_no_use_of_one() -> None:
    """Of four codes two are used, one twice as often as the other; on the other level none is."""
    codes_NML = np.array([[[0, 4]], [[3, 4]], [[0, 4]], [[4, 4]]], np.uint16)
    found = health._use("text/", codes_NML, 4)
    assert found["text/level_1/used"] == 0.5
    evenness = 2 / 3 * np.log(3 / 2) + 1 / 3 * np.log(3)
    assert found["text/level_1/perplexity"] == pytest.approx(np.exp(evenness))
    assert (found["text/level_2/used"], found["text/level_2/perplexity"]) == (0, 1)


def test_the_nearest_are_others_by_direction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_NEIGHBOURS", 2)
    degrees_J = torch.tensor([0.0, 10, 25, 90, 170]).deg2rad()
    vectors_J2 = torch.stack([degrees_J.cos(), degrees_J.sin()], 1) * torch.arange(1, 6)[:, None]
    found_BK = health._nearest_items(vectors_J2, torch.tensor([0, 2, 4]))
    assert found_BK.tolist() == [[1, 2], [1, 0], [3, 2]]
