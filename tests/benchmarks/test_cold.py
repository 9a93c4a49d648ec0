"""New items in the harness, on the simulated shop: judged, kept, not done twice, reported."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.accuracy import work
from benchmarks.accuracy.cold import jobs, likenesses, models, report
from benchmarks.accuracy.cold.jobs import Trial, run
from benchmarks.accuracy.cold.results import SHOWN, TAKEN, USERS, Cold, Resampled, read
from benchmarks.accuracy.cold.rivals import Latest, PopularLately
from benchmarks.accuracy.cold.store import KINDS, ColdStore
from benchmarks.accuracy.models import configured
from benchmarks.accuracy.store import Job
from models.contract.types import FloatArray
from tests.simulated_shop import Shop
from tests.training.shop_run import prepared
from training.config import RunConfig
from training.data.histories import Windows

FEW_EPOCHS = {"fit.epochs": 2, "quantize.epochs": 2}
SHARE = 0.2
MAIN = models.MAIN[0]
NAMES = (MAIN, models.RANDOM_CODES, "esasrec", "content-knn-decayed", "content-knn-1", "popularity")


def trial(model: str) -> Trial:
    return Trial(Job("shop", model, 1, "strict"), SHARE)


@pytest.fixture(scope="module")
def config(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    return prepared(shop, tmp_path_factory.mktemp("cold"))


@pytest.fixture(scope="module")
def store(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("cold-jobs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "STORE", ColdStore(root / "kept"))
        patch.setattr(jobs, "SCRATCH", root / "scratch")
        for name in NAMES:
            run(trial(name), config, FEW_EPOCHS)
        jobs.keep_events("shop", config, SHARE)
        yield jobs.STORE


@pytest.fixture(scope="module")
def found(store: ColdStore) -> Cold:
    return read(store, "shop")


def test_every_model_ranks_the_same_events_and_only_content_finds_what_is_new(found: Cold) -> None:
    before = {models.WORDED, f"{models.WORDED}-share-0", f"{models.WORDED}-share-0.5"}
    assert {*NAMES, *before} <= set(found.models)
    for kind in KINDS:
        events = len(found.events.kinds[kind]["user"])
        assert all(len(found.values(name, kind, "recall@50")) == events for name in found.models)
    assert found.values(MAIN, "cold-cold", "recall@10").mean() > 0
    for name in ("popularity", "esasrec"):
        assert found.values(name, "all-all", "ndcg@10").mean() > 0
        assert found.shown(name).mean() < found.shown("content-knn-1").mean()
    assert 0 < found.taken < 0.5


def test_a_job_that_was_done_is_not_done_again(store: ColdStore, config: RunConfig) -> None:
    path = store.path(trial(MAIN).job)
    before = path.stat().st_mtime_ns
    facts = run(trial(MAIN), config, FEW_EPOCHS)
    assert path.stat().st_mtime_ns == before
    assert facts["calibration"]
    assert jobs.recipe(trial(MAIN), config, FEW_EPOCHS) == facts["recipe"]
    for other in (trial(MAIN)._replace(cold_share=0.1), trial(models.RANDOM_CODES)):
        assert jobs.recipe(other, config, FEW_EPOCHS) != facts["recipe"]


def test_rows_have_intervals_by_users_and_by_items(found: Cold) -> None:
    rows = list(found.rows())
    for row in rows:
        assert row["ci_low"] <= row["mean"] <= row["ci_high"]
        assert row["item_ci_low"] <= row["mean"] <= row["item_ci_high"]
        assert row["cold_share"] == SHARE
    shown = [row for row in rows if row["metric"] == SHOWN]
    assert {row["model"] for row in shown} == set(found.models)
    (taken,) = (row for row in rows if row["metric"] == TAKEN)
    assert (taken["model"], taken["mean"]) == (USERS, pytest.approx(found.taken, abs=1e-6))


def test_the_report_is_written_from_what_is_kept_alone(
    store: ColdStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "STORE", store)
    monkeypatch.setattr(work, "DOCS", tmp_path)
    report.write()
    text = (tmp_path / "cold.md").read_text(encoding="utf-8")
    assert f"| **{MAIN}** |" in text
    assert "## shop, leave-one-out" in text
    assert (tmp_path / "cold.png").stat().st_size > 1000


def test_whole_groups_are_resampled() -> None:
    """One user with nine of ten events: an interval that is wide, however many they are."""
    values_E = np.array([1.0] * 900 + [0.0] * 100)
    by_event = Resampled(np.arange(1000)).mean(values_E)
    by_user = Resampled(np.repeat([0, 1], [900, 100])).mean(values_E)
    assert by_event.mean == by_user.mean == 0.9
    assert by_event.high - by_event.low < 0.1
    assert (by_user.low, by_user.high) == (0.0, 1.0)
    assert Resampled(np.arange(1000)).ratio(2 * values_E, values_E)[:3] == (2.0, 2.0, 2.0)


def test_what_was_popular_lately_is_counted_up_to_the_event() -> None:
    """Two users; the clock counts, not whose event it was."""
    day = 86_400
    seconds = np.array([0, 8 * day, 9 * day, 7 * day, 8 * day, 20 * day])
    items = np.array([0, 1, 1, 2, 1, 0], np.int32)
    ranker = PopularLately(seconds, items, 3, days=7)
    windows = Windows(np.array([0, 3]), np.array([2, 2]))  # before events 2 and 5
    assert ranker.score(items, windows).tolist() == [[0, 2, 1], [0, 0, 0]]


def test_only_the_latest_items_are_looked_at() -> None:
    class Lengths:
        def score(self, items: np.ndarray, windows: Windows) -> FloatArray:
            return np.stack([windows.start, windows.length], 1).astype(np.float32)

    windows = Windows(np.array([0, 10]), np.array([7, 1]))
    found = Latest(Lengths(), 3).score(np.zeros(20, np.int32), windows)
    assert found.tolist() == [[4, 3], [10, 1]]


def test_what_the_memory_finds_items_alike_by_is_measured_side_by_side(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the simulated shop, whose words tell: nothing says nothing of new items, words do."""
    few = configured(config, {"quantize.epochs": 2})
    monkeypatch.setattr(work, "configuration", lambda _: few)
    monkeypatch.setattr(work, "DOCS", tmp_path)
    monkeypatch.setattr(jobs, "SCRATCH", tmp_path / "scratch")
    likenesses.main("shop")
    kept = (tmp_path / "likeness.jsonl").read_text(encoding="utf-8")
    found = {row["alike by"]: row for row in map(json.loads, kept.splitlines())}
    assert len(found) == len(kept.splitlines()) == 7
    of_new = {name: row["new among all recall@50"]["mean"] for name, row in found.items()}
    assert of_new["nothing"] == 0 < of_new["words and codes"]
    likenesses.main("shop")  # done already
    assert (tmp_path / "likeness.jsonl").read_text(encoding="utf-8") == kept
    assert "| shop | words and codes |" in (tmp_path / "likeness.md").read_text(encoding="utf-8")


def test_margins_are_of_the_nearest_and_never_of_an_item_with_itself() -> None:
    vectors_ND = np.array([[1, 0], [2, 0.5], [1, 1], [0, 0], [-1, 0]], np.float32)
    found = likenesses._margins(vectors_ND, most=1).toarray()
    assert np.argwhere(found).tolist() == [[0, 1], [1, 0], [2, 1]]
    near, far = 2 / 4.25**0.5, 0.5**0.5
    assert found[0, 1] == pytest.approx((near - far) / (1 - far), abs=1e-5)
