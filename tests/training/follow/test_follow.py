"""Events come, a bundle is trained, and goes live only if it is as good as what serves."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from models.contract import bundle as bundles
from models.contract.store import BundleStore
from tests.simulated_shop import Shop
from tests.training.shop_run import write_config
from training import stage_files
from training.config import RunConfig, load
from training.data.histories import Part, targets
from training.evaluate.ranking import SequenceRanker, ndcg
from training.evaluate.served import ServedRanker
from training.fit.learn import load_model
from training.fit.remember import with_memory
from training.follow import follow as following
from training.follow import gate
from training.follow.follow import Follower, Following
from training.follow.gate import Verdict

QUICK = {"epochs = 20": "epochs = 2", "epochs = 8": "epochs = 3"}


@pytest.fixture(scope="module")
def config(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    """The shop's log up to its last fifth, split in time."""
    folder = tmp_path_factory.mktemp("follow")
    path = write_config(shop, folder / "run")
    text = path.read_text().replace(str(shop.interactions), str(folder / "events"))
    for slow, quick in QUICK.items():
        text = text.replace(slow, quick)
    path.write_text(f'{text}\n[split]\nkind = "temporal"\n')
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
    assert journal(config)[-1]["why"] == "nothing serves yet"
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
    found = ndcg(ranker, moved, len(ids), filter_seen=True)
    assert found == pytest.approx(ndcg(whole_model, test, len(ids), filter_seen=True), abs=1e-6)


def test_items_that_it_does_not_know_score_worst(config: RunConfig, first: Path) -> None:
    data = stage_files.data(config)
    ids = ["unknown", *data.items["item_id"].to_list()]
    test = targets(data.histories, Part.TEST)
    moved = test._replace(items=test.items + 1, target=np.zeros_like(test.target))
    assert ndcg(ServedRanker(bundles.read(first), ids), moved, len(ids), filter_seen=False) == 0


def test_what_is_worse_does_not_go_live_and_is_not_tried_again(
    config: RunConfig, second: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    went, said = follow(config, judge=lambda *_: Verdict(False, "it is worse"))
    assert (went, said[-1]) == (False, "not activated: it is worse")
    assert BundleStore(config.output).find("current") == second
    assert journal(config)[-1]["passed"] is False
    assert follow(config)[0] is False


def test_the_gate_asks_both_about_what_is_newer_than_what_serves(
    config: RunConfig, second: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "FEWEST", 10)
    (config.output / following.JOURNAL).unlink()
    went, said = follow(config)
    verdict = journal(config)[-1]
    assert verdict["events"] >= 10
    assert 0 <= verdict["candidate"] <= 1
    assert 0 <= verdict["served"] <= 1
    assert went is (verdict["candidate"] >= 0.98 * verdict["served"]), said
    assert (BundleStore(config.output).find("current") != second) is went
    assert not any(text.startswith(("fit:", "encode:")) for text in said), "done before the gate"
