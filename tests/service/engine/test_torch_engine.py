"""The torch fallback with the catalogue on its device: what it answers, there and on the CPU."""

import numpy as np
import pytest

from models.contract.bundle import Bundle
from models.contract.types import ItemCodes
from service.engine.scorer import TorchScorer
from service.engine.torch_retriever import TorchRetriever
from service.generation import load
from service.retrieval.overlay import Overlay
from service.retrieval.selection import Selection
from service.settings import Settings


def test_it_answers_as_the_cpu_does(tiny: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU stands in for the GPU."""
    scorer = TorchScorer(tiny, "cpu", 1)
    scorer.provider = "torch-cuda"
    on_cpu = TorchRetriever(tiny.item_vectors_ND, "cpu")
    monkeypatch.setattr(load, "_on_device", lambda vectors_ND: on_cpu)
    settings = Settings(bundle=tiny.directory, provider="cpu")
    plain = load.make_engine(tiny, settings)
    monkeypatch.setattr(load, "make_scorer", lambda *_: scorer)
    engine = load.make_engine(tiny, settings)
    assert isinstance(engine.searcher, Overlay)  # type: ignore[attr-defined]
    assert engine.searcher.base is on_cpu  # type: ignore[attr-defined]

    random, codes_NS = np.random.default_rng(0), tiny.semantic_ids.codes_NS
    histories = [
        [ItemCodes(row, codes_NS[row]) for row in random.integers(0, 60, length).tolist()]
        for length in random.integers(1, 13, 500)
    ]
    selections = [
        Selection(np.unique([item.item_index for item in history])) for history in histories
    ]
    asked = histories, [10] * 500, selections
    found, expected = engine.candidates(*asked).found, plain.candidates(*asked).found
    np.testing.assert_array_equal(found.items_BK, expected.items_BK)
    np.testing.assert_allclose(found.scores_BK, expected.scores_BK, rtol=1e-3, atol=1e-5)
