"""Engines over a bundle that remembers: exactly the sum of what is learned and what was counted."""

import numpy as np
import pytest

from models.contract import bundle as bundles
from models.contract.bundle import Bundle
from models.contract.types import ItemCodes
from service.engine.choose import make_engine
from service.engine.device import DeviceEngine
from service.engine.engine import Engine
from service.engine.feeds import History
from service.engine.scorer import OnnxScorer
from service.retrieval.live import nothing_lives
from service.retrieval.selection import Selection
from service.settings import Settings
from tests.conftest import TinyBundles
from tests.tiny_bundle import ITEMS


@pytest.fixture(scope="module", params=["exact", "compressed"])
def remembering(request: pytest.FixtureRequest, tiny_bundles: TinyBundles) -> Bundle:
    return bundles.read(tiny_bundles.copy(indexed=request.param == "compressed", remembers=True))


def engine_of(bundle: Bundle, kind: str) -> Engine:
    if kind == "device":
        live = nothing_lives(*bundle.item_vectors_ND.shape)
        return DeviceEngine(OnnxScorer(bundle, "cpu", 1), 1, live)
    indexed = bundle.index_path is not None
    retriever = "compressed" if indexed else "exact"
    settings = Settings(bundle=bundle.directory, provider=kind, retriever=retriever)
    return make_engine(bundle, settings)


@pytest.mark.parametrize("kind", ["cpu", "torch", "device"])
def test_scores_are_the_sum(remembering: Bundle, kind: str) -> None:
    random, codes_NS = np.random.default_rng(3), remembering.semantic_ids.codes_NS
    rows = [random.integers(0, ITEMS, size).tolist() for size in random.integers(1, 13, 20)]
    histories: list[History] = [[ItemCodes(n, codes_NS[n]) for n in each] for each in rows]
    hidden = [Selection(np.unique(each)) for each in rows]
    scorer = OnnxScorer(remembering, "cpu", 1)
    scores_BN = scorer.encode(histories) @ remembering.item_vectors_ND.T
    learned_BN = scores_BN.copy()
    assert remembering.memory is not None
    for scores_N, each in zip(scores_BN, rows, strict=True):
        recalled = remembering.memory.recall(each)
        scores_N[recalled.rows_J] += recalled.scores_J
    for table_BN in (scores_BN, learned_BN):
        for scores_N, selection in zip(table_BN, hidden, strict=True):
            scores_N[selection.hidden] = -np.inf
    found = engine_of(remembering, kind).candidates(histories, [10] * 20, hidden).found
    best = np.sort(scores_BN, axis=1)[:, ::-1][:, :10]
    np.testing.assert_allclose(found.scores_BK, best, atol=1e-4)
    alone = np.argsort(-learned_BN, axis=1)[:, :10]
    assert (found.items_BK != alone).mean() > 0.2  # else the memory would not have shown
