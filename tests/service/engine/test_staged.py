"""Stages in bfloat16 find what float32 finds, whatever is masked; on a CPU as on a GPU."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.contract.types import FloatArray
from service.engine import staged
from service.engine.staged import BLOCK
from service.engine.torch_retriever import TorchRetriever, bytes_needed
from service.retrieval.retriever import Found
from service.retrieval.rows import RowSet
from service.retrieval.selection import Allowed, Selection
from service.runtime import ProviderError

torch = pytest.importorskip("torch")


def naive(
    items_ND: FloatArray,
    vectors_BD: FloatArray,
    k: Sequence[int],
    selections: Sequence[Selection],
    gone: RowSet | None,
) -> list[set[int]]:
    """The items above each query's k-th best score, and no others that may be found."""
    found = []
    for vector_D, wanted, (hidden, allowed, _) in zip(vectors_BD, k, selections, strict=True):
        shown_N = np.ones(len(items_ND), np.bool_) if allowed is None else allowed.base.mask_N
        shown_N = shown_N & (True if gone is None else ~gone.mask_N)
        shown_N[hidden] = False
        rows = np.flatnonzero(shown_N)
        scores = items_ND[rows].astype(np.float64) @ vector_D.astype(np.float64)
        found.append({*rows[np.argsort(-scores, kind="stable")[:wanted]].tolist()})
    return found


def same(
    found: Found, expected: Sequence[set[int]], items_ND: FloatArray, v_BD: FloatArray
) -> None:
    """Sets agree but for items that float32 cannot tell apart; scores are true, in order."""
    for scores_K, rows_K, wanted, vector in zip(*found, expected, v_BD, strict=True):
        rows = rows_K[rows_K >= 0]
        assert len(rows) == len({*rows.tolist()}) == len(wanted)
        true = items_ND[rows].astype(np.float64) @ vector.astype(np.float64)
        np.testing.assert_allclose(scores_K[: len(rows)], true, rtol=1e-4, atol=1e-4)
        assert (np.diff(scores_K[: len(rows)]) <= 0).all()
        last = min((items_ND[[*wanted]] @ vector), default=0)
        for row in {*rows.tolist()} ^ wanted:
            assert items_ND[row] @ vector == pytest.approx(last, rel=1e-4, abs=1e-4)


@settings(max_examples=40)
@given(
    size=st.sampled_from([1, 70, BLOCK, BLOCK + 1, 5000]),
    gone=st.sampled_from([0.0, 0.01, 0.5, 0.99, 0.999, 1.0]),
    allowed=st.sampled_from([None, 0.002, 0.3]),
    k=st.lists(st.sampled_from([1, 10, 100, 500]), min_size=1, max_size=5),
    rounded=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_it_finds_the_best(
    size: int, gone: float, allowed: float | None, k: list[int], rounded: bool, seed: int
) -> None:
    random = np.random.default_rng(seed)
    items_ND = random.normal(size=(size, 24)).astype(np.float32)
    vectors_BD = random.normal(size=(len(k), 24)).astype(np.float32)
    if rounded:  # many scores are the same
        items_ND, vectors_BD = items_ND.round(), vectors_BD.round()
    lost = RowSet.of(random.random(size) < gone) if gone else None
    selections = [
        Selection(
            hidden=random.permutation(size)[: random.integers(0, 40)],
            allowed=None
            if allowed is None or number % 2
            else Allowed(RowSet.of(random.random(size) < allowed)),
        )
        for number in range(len(k))
    ]
    found = TorchRetriever(items_ND, "cpu").search(vectors_BD, k, selections, lost)
    same(found, naive(items_ND, vectors_BD, k, selections, lost), items_ND, vectors_BD)


def test_what_rounding_hides_is_looked_for_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Items so alike that bfloat16 takes them for one: float32 alone can tell the best of them."""
    random = np.random.default_rng(0)
    item_D = random.normal(size=24)
    items_ND = (item_D + 1e-4 * random.normal(size=(4 * BLOCK, 24))).astype(np.float32)
    vectors_BD = item_D[None].astype(np.float32)
    found = TorchRetriever(items_ND, "cpu").search(vectors_BD, [10], [Selection()])
    expected = naive(items_ND, vectors_BD, [10], [Selection()], None)
    assert {*found.items_BK[0].tolist()} == expected[0]


def test_queries_that_are_too_many_for_the_device_are_searched_a_part_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random = np.random.default_rng(0)
    items_ND = random.normal(size=(300, 24)).astype(np.float32)
    vectors_BD = random.normal(size=(7, 24)).astype(np.float32)
    selections = [Selection(hidden=np.array([row])) for row in range(7)]
    whole = TorchRetriever(items_ND, "cpu").search(vectors_BD, [5] * 7, selections)
    monkeypatch.setattr("service.engine.torch_retriever._WORK_BYTES", 2 * 2 * BLOCK)
    parts = TorchRetriever(items_ND, "cpu").search(vectors_BD, [5] * 7, selections)
    assert (whole.items_BK == parts.items_BK).all()


def test_a_catalogue_that_does_not_fit_is_refused_with_the_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (10**9, 10**9))
    with pytest.raises(ProviderError, match=r"1,000 items need 4,\d{3},\d{3},\d{3} bytes"):
        TorchRetriever(np.zeros((1000, 24), np.float32), "cuda")
    assert bytes_needed(10_000_000, 192) < 17 * 10**9


def test_the_bound_is_of_what_bfloat16_rounds_by() -> None:
    numbers = 1 + torch.arange(2**16) / 2**16
    off = ((numbers.bfloat16().float() - numbers).abs() / numbers).max()
    assert 0.9 * staged._ROUNDING < float(off) <= staged._ROUNDING
