"""Stages in bfloat16 find what float32 finds, whatever is masked; on a CPU as on a GPU."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.contract.types import FloatArray
from service.engine.recalling import summed
from service.engine.staged import BLOCK, Among, Best, Items, best, best_in_full

torch = pytest.importorskip("torch")


def items_of(items_ND: FloatArray) -> Items:
    items = Items.room(len(items_ND), items_ND.shape[1], torch.device("cpu"))
    items.put(0, torch.from_numpy(items_ND))
    return items


def search(items: Items, vectors_BD: FloatArray, among: Among, k: int) -> Best:
    """As the engine does: again in full where it is not shown that these are the best."""
    asked = items, torch.from_numpy(vectors_BD), among, k
    found = best(*asked)
    return found if found.shown_B.all() else best_in_full(*asked)


@settings(max_examples=60, deadline=None)
@given(
    size=st.sampled_from([1, 70, BLOCK, BLOCK + 1, 5000]),
    gone=st.sampled_from([0.0, 0.01, 0.5, 0.99, 0.999, 1.0]),
    k=st.sampled_from([1, 10, 100, 500]),
    queries=st.integers(1, 5),
    told=st.sampled_from([0, 3, 700]),
    rounded=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_it_finds_the_best(
    size: int, gone: float, k: int, queries: int, told: int, rounded: bool, seed: int
) -> None:
    random = np.random.default_rng(seed)
    items_ND = random.normal(size=(size, 24)).astype(np.float32)
    vectors_BD = random.normal(size=(queries, 24)).astype(np.float32)
    if rounded:  # many scores are the same
        items_ND, vectors_BD = items_ND.round(), vectors_BD.round()
    items = items_of(items_ND)
    rows = len(items.scan_RD)
    true_BR = np.full((queries, rows), -np.inf)
    true_BR[:, :size] = vectors_BD.astype(np.float64) @ items_ND.astype(np.float64).T
    lost_BR = random.random((queries, rows)) < gone
    lost_BR[:, size:] = True
    hidden_H2 = np.stack([random.integers(0, queries, 40), random.integers(0, size, 40)], 1)
    told_BX = random.integers(0, size, (queries, told))
    sums_BX = (30 * random.random((queries, told))).astype(np.float32)
    for query in range(queries):
        np.add.at(true_BR[query], told_BX[query], sums_BX[query])
    true_BR[lost_BR] = -np.inf
    true_BR[hidden_H2[:, 0], hidden_H2[:, 1]] = -np.inf

    sums = summed(torch.from_numpy(told_BX), torch.from_numpy(sums_BX), rows - 1) if told else None
    added_BR = torch.zeros(queries, rows).masked_fill(torch.from_numpy(lost_BR), -np.inf)
    among = Among(added_BR, torch.from_numpy(hidden_H2), sums)
    scores_BK, rows_BK, _ = (x.numpy() for x in search(items, vectors_BD, among, min(k, rows)))

    best_BK = -np.sort(-true_BR, axis=1)[:, : min(k, rows)]
    np.testing.assert_allclose(scores_BK, best_BK, rtol=1e-4, atol=1e-4)
    found_BK = np.take_along_axis(true_BR, rows_BK, axis=1)  # each score is its row's
    there_BK = scores_BK > -np.inf
    np.testing.assert_allclose(scores_BK[there_BK], found_BK[there_BK], rtol=1e-4, atol=1e-4)
    for there_K, rows_K in zip(there_BK, rows_BK, strict=True):
        assert len(np.unique(rows_K[there_K])) == there_K.sum()


def test_what_rounding_hides_is_looked_for_in_full() -> None:
    """Items so alike that bfloat16 takes them for one: float32 alone can tell the best of them."""
    random = np.random.default_rng(0)
    item_D = random.normal(size=24)
    items_ND = (item_D + 1e-4 * random.normal(size=(4 * BLOCK, 24))).astype(np.float32)
    vectors_BD = item_D[None].astype(np.float32)
    among = Among(torch.zeros(4 * BLOCK), torch.empty((0, 2), dtype=torch.long))
    assert not best(items_of(items_ND), torch.from_numpy(vectors_BD), among, 10).shown_B.any()
    found = search(items_of(items_ND), vectors_BD, among, 10)
    true = items_ND.astype(np.float64) @ item_D
    assert {*found.rows_BK[0].tolist()} == {*np.argsort(-true)[:10].tolist()}


def test_the_bound_is_of_what_bfloat16_rounds_by() -> None:
    from service.engine import staged

    numbers = 1 + torch.arange(2**16) / 2**16
    off = ((numbers.bfloat16().float() - numbers).abs() / numbers).max()
    assert 0.9 * staged._ROUNDING < float(off) <= staged._ROUNDING
