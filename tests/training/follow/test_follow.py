"""Events come, a bundle is trained, and goes live only if it is as good as what serves."""

import dataclasses
import itertools
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from models.contract import bundle as bundles
from models.contract.manifest import read_manifest
from models.contract.store import BundleStore
from tests.simulated_shop import Shop
from tests.training.shop_run import write_config
from training import stage_files
from training.config import RunConfig, load
from training.data.histories import Part, targets
from training.evaluate.ranking import SequenceRanker, Task, ndcg
from training.evaluate.served import ServedRanker
from training.fit.learn import load_model
from training.fit.remember import with_memory
from training.follow import follow as following
from training.follow import gate
from training.follow.follow import Follower, Following
from training.follow.gate import Verdict
from training.run.pipeline import Pipeline

QUICK = {"epochs = 20": "epochs = 2", "epochs = 8": "epochs = 3"}


@pytest.fixture(scope="module")
def config(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    """The shop's log up to its last fifth."""
    folder = tmp_path_factory.mktemp("follow")
    path = write_config(shop, folder / "run")
    text = path.read_text().replace(str(shop.interactions), str(folder / "events"))
    for slow, quick in QUICK.items():
        text = text.replace(slow, quick)
    path.write_text(text)
    (folder / "events").mkdir()
    rest = whole(shop).slice(len(whole(shop)) * 4 // 5)
    whole(shop).head(len(whole(shop)) - len(rest)).write_csv(folder / "events/first.csv")
    return load(path)


def whole(shop: Shop) -> pl.DataFrame:
    return pl.read_csv(shop.interactions).sort("timestamp", maintain_order=True)


def follow(config: RunConfig, events: int = 100, judge: Any = gate.judge) -> tuple[bool, list[str]]:
    said: list[str] = []
    return Follower(config, Following(events), said.append, judge).look(), said


def journal(config: RunConfig) -> list[dict[str, Any]]:
    lines = (config.output / following.JOURNAL).read_text().splitlines()
    return [json.loads(line) for line in lines if line]


@pytest.fixture(scope="module")
def first(config: RunConfig) -> Path:
    went, said = follow(config)
    assert went, said
    assert journal(config)[-1]["why"].startswith("nothing serves yet")
    current = BundleStore(config.output).find("current")
    assert current is not None
    return current


@pytest.fixture(scope="module")
def second(config: RunConfig, shop: Shop, first: Path) -> Path:
    """After the rest of the log has come."""
    rest = whole(shop).slice(len(whole(shop)) * 4 // 5)
    rest.write_csv(config.interactions.path / "second.csv")
    return first


def test_without_enough_that_is_new_nothing_is_trained(config: RunConfig, first: Path) -> None:
    went, said = follow(config)
    assert (went, said) == (False, ["0 new interactions: waiting for 100"])


def test_a_folder_of_events_that_is_not_there_yet_is_looked_for(tmp_path: Path) -> None:
    (log := tmp_path / "log.csv").write_text("user,item,time\n")
    stored = tmp_path / "events/done"
    told = {"path": log, "stored": stored, "type": "view"}
    config = RunConfig.model_validate(
        {"name": "x", "output": tmp_path, "interactions": told, "events": {"view": 1}}
    )
    follower = Follower(config, Following(), print)
    before = follower.files()
    stored.mkdir(parents=True)
    (stored / "hour.parquet").touch()
    assert follower.files() != before


def test_what_serves_is_ranked_as_it_ranks(config: RunConfig, first: Path) -> None:
    """Of the same catalogue, the bundle's graph and memory give what the model behind it gives."""
    data, served = stage_files.data(config), bundles.read(first)
    table, _ = stage_files.semantic_ids(config.output / "requantize")
    model = load_model(config, config.output / "refit" / stage_files.WEIGHTS, table)
    memory = stage_files.memory(config.output / "refit")
    whole_model = with_memory(SequenceRanker(model, table.codes_NS), memory)
    ids, test = data.items["item_id"].to_list(), targets(data.histories, Part.TEST)
    shuffled = np.random.default_rng(0).permutation(len(ids))
    ranker = ServedRanker(served, [ids[at] for at in shuffled])
    place = np.argsort(shuffled).astype(np.int32)
    moved = test._replace(items=place[test.items], target=place[test.target])
    whole = Task(test, len(ids), filter_seen=True)
    found = ndcg(ranker, whole._replace(held_out=moved))
    assert found == pytest.approx(ndcg(whole_model, whole), abs=1e-6)


def test_items_that_it_does_not_know_score_worst(config: RunConfig, first: Path) -> None:
    data = stage_files.data(config)
    ids = ["unknown", *data.items["item_id"].to_list()]
    test = targets(data.histories, Part.TEST)
    moved = test._replace(items=test.items + 1, target=np.zeros_like(test.target))
    task = Task(moved, len(ids), filter_seen=False)
    assert ndcg(ServedRanker(bundles.read(first), ids), task) == 0


def test_what_is_worse_does_not_go_live_and_is_not_tried_again(
    config: RunConfig, second: Path
) -> None:
    went, said = follow(config, judge=lambda *_: Verdict(False, "it is worse"))
    assert (went, said[-1]) == (False, "not activated: it is worse")
    assert BundleStore(config.output).find("current") == second
    assert journal(config)[-1]["passed"] is False
    assert (BundleStore(config.output).root / journal(config)[-1]["bundle"]).is_dir()
    assert follow(config)[0] is False


def test_the_gate_asks_both_about_what_neither_has_learned(config: RunConfig, second: Path) -> None:
    (config.output / following.JOURNAL).unlink()
    went, said = follow(config)
    verdict = journal(config)[-1]
    assert verdict["events"] >= gate.FEWEST
    assert 0 <= verdict["candidate"] <= 1
    assert 0 <= verdict["served"] <= 1
    assert went is (verdict["high"] >= -0.02), said
    assert not any(text.startswith(("fit:", "encode:")) for text in said), "done before"

    data = stage_files.data(config)
    candidate = read_manifest(BundleStore(config.output).root / verdict["bundle"])[0]
    assert data.card.split.test_from is not None
    assert read_manifest(second)[0].split["until"] < candidate.split["until"]
    assert candidate.split["until"] < data.card.split.test_from
    tested = data.histories.parts == Part.TEST
    assert (data.times()[tested] > candidate.split["until"]).all()
    derived = gate.hold_out(config, data, read_manifest(second)[0].split["until"])
    assert stage_files.learned(derived).parts.max() == Part.VALIDATION


@pytest.mark.parametrize("serves", [True, False])
def test_where_a_baseline_is_ahead_it_is_said_why_it_goes_live_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serves: bool
) -> None:
    """``evaluate`` says not to go live, a moment before it does."""
    models = {"bbqrec": {"ndcg@10": 0.1}, "item-knn": {"ndcg@10": 0.101}}
    told = {"loses_to_baseline": True, "best_baseline": "item-knn", "models": models}
    monkeypatch.setattr(stage_files, "read_json", lambda path: told)
    config = RunConfig.model_validate(
        {"name": "x", "output": tmp_path, "interactions": {"path": tmp_path / "log.csv"}}
    )
    went = Verdict(True, "it is better")
    verdict = gate.explained(went, config, tmp_path if serves else None)
    beside = "what serves is not shown to be better" if serves else "there is nothing else"
    assert "item-knn is ahead of it (0.1010 against 0.1000); it goes live" in verdict.why
    assert beside in verdict.why
    told["loses_to_baseline"] = False
    assert gate.explained(went, config, tmp_path) == went


def test_a_bundle_whose_codes_have_collapsed_is_refused(
    config: RunConfig, second: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy, made = bundles.read(second), read_manifest(second)[0]
    health = made.health | {"level_1/used": 0.4 * made.health["level_1/used"]}
    collapsed = made.model_copy(update={"health": health})
    asked = iter([dataclasses.replace(healthy, manifest=collapsed), healthy])
    monkeypatch.setattr(bundles, "read", lambda *_: next(asked))
    verdict = gate.judge(config, second, second, 0.02)
    assert (verdict.passed, verdict.why.partition(":")[0]) == (False, "level_1/used")


def test_a_bundle_that_is_slow_is_refused(
    config: RunConfig, second: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    derived = gate.hold_out(config, stage_files.data(config), 0)
    took = itertools.cycle([0.0, 1.0, 0.0, 0.1])  # of the new one first
    monkeypatch.setattr(gate, "time", SimpleNamespace(thread_time=lambda: next(took)))
    verdict = gate.judge(derived, second, second, 0.02)
    assert (verdict.passed, verdict.why[:27]) == (False, "its model takes 10.0 times ")


def test_without_enough_that_is_newer_all_is_learned(config: RunConfig, first: Path) -> None:
    data = stage_files.data(config)
    times = np.sort(data.times())
    assert gate.hold_out(config, data, None) is config
    assert gate.hold_out(config, data, int(times[-2 * gate.FEWEST])) is config
    held_out = gate.hold_out(config, data, int(times[-10 * gate.FEWEST]))
    assert held_out.split.test_from == times[-((10 * gate.FEWEST - 1) // 5)]
    assert not held_out.fit.learn_test


def stored_log(folder: Path, rows: list[tuple[str, str, int]]) -> None:
    log = pl.DataFrame(rows, ["user_id", "item_id", "timestamp"], orient="row")
    log.write_csv(folder / "a.csv")


def a_follower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Follower:
    """Whose training is nothing: what it makes of its files is looked at."""
    (tmp_path / "log").mkdir()
    config = RunConfig.model_validate(
        {
            "name": "x",
            "output": tmp_path / "out",
            "recommend": "all",
            "interactions": {"path": tmp_path / "log"},
            "filter": {"k_core": 0},
        }
    )
    follower = Follower(config, Following(events=100), print, lambda *_: Verdict(False, "no"))
    monkeypatch.setattr(follower, "_candidate", lambda config: (tmp_path / "bundle", False))
    return follower


def days(first: int, last: int) -> list[tuple[str, str, int]]:
    each = ((day, n) for day in range(first, last) for n in (1, 2))
    return [(f"u{n}", f"i{day % 9}", 86_400 * day + n) for day, n in each]


def test_new_events_are_counted_where_old_ones_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are kept for so long: there are never more of them than before."""
    follower, trained = a_follower(tmp_path, monkeypatch), []
    for first in range(0, 300, 60):
        stored_log(tmp_path / "log", days(first, first + 200))
        before = len([*follower._lines()])
        follower.look()
        trained.append(len([*follower._lines()]) > before)
    assert trained == [True] * 5  # 120 new ones each


def test_a_file_that_goes_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower, tries = a_follower(tmp_path, monkeypatch), itertools.count()
    stored_log(tmp_path / "log", days(0, 200))
    complete = Pipeline.complete

    def torn(*asked: Any) -> None:
        if next(tries) < 2:
            raise FileNotFoundError(2, "No such file", "an-hour.parquet")
        complete(*asked)

    monkeypatch.setattr(Pipeline, "complete", torn)
    assert follower.look() is False
    assert journal(follower.config)[-1]["interactions"] == 400
