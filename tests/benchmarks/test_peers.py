"""RecTools in the accuracy harness, without RecTools: a stand-in plays its process."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.accuracy import peers
from benchmarks.accuracy.peers import PeerError, VectorRanker
from models.contract.types import FloatArray
from tests.training.small import ITEMS, histories
from training.config import InteractionsConfig, RunConfig
from training.data.histories import EvaluationSet, Part, Windows, targets
from training.evaluate.ranking import Task, rank

FIELDS = {"kind": "sasrec", "seed": 1}
# Knows the answers: a user's vector is the target's one-hot, an item's vector its own.
STAND_IN = """
import json, pathlib, sys
import numpy as np
folder = pathlib.Path(sys.argv[1])
given = np.load(folder / "input.npz")
items = np.eye(int(given["catalogue_size"]), dtype=np.float32)
users = items[given["test_target"]]
np.savez(folder / "output.npz", test_user_vectors=users, item_vectors=items)
facts = {"epochs": 2, "validation_ndcg@10": 0.5, "cpu_minutes": 3.0, "curve": [0.4, 0.5]}
(folder / "done.json").write_text(json.dumps(facts))
"""


def evaluation_set(part: Part) -> EvaluationSet:
    return targets(histories().up_to(part), part)


def content() -> dict[str, Any]:
    sets = {name.name.lower(): evaluation_set(name) for name in (Part.VALIDATION, Part.TEST)}
    return peers.arrays(histories().up_to(Part.TRAIN), ITEMS, {**sets, "absent": None})


def program(folder: Path, text: str) -> Path:
    path = folder / "program.py"
    path.write_text(text)
    return path


def vectors(*shape: int) -> FloatArray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_a_user_is_found_by_where_the_history_starts_in_any_order() -> None:
    start_U = np.array([40, 0, 20])
    users_UD, items_ND = vectors(3, 4), vectors(ITEMS, 4)
    ranker = VectorRanker(users_UD, items_ND, start_U)
    asked = Windows(np.array([20, 40, 0, 20]), np.ones(4, np.int64))
    scores_BN = ranker.score(np.zeros(0, np.int32), asked)
    np.testing.assert_array_equal(scores_BN, users_UD[[2, 0, 1, 2]] @ items_ND.T)


@pytest.mark.parametrize("start", [-1, 1, 99])
def test_a_history_that_is_nobodys_is_refused(start: int) -> None:
    ranker = VectorRanker(vectors(2, 4), vectors(ITEMS, 4), np.array([0, 20]))
    with pytest.raises(ValueError, match="none of the peer's users"):
        ranker.score(np.zeros(0, np.int32), Windows(np.array([start]), np.array([1])))


def test_a_job_is_written_run_and_read_back_as_a_ranker(tmp_path: Path) -> None:
    test, folder = evaluation_set(Part.TEST), tmp_path / "job"
    peers.write_job(folder, FIELDS, content())
    peers.run(folder, Path(sys.executable), 1, program(tmp_path, STAND_IN))
    trained = peers.read(folder)
    ranker = VectorRanker(trained.user_vectors_UD, trained.item_vectors_ND, test.start)
    assert (rank(ranker, Task(test, ITEMS, filter_seen=True), top=5).rank_E == 1).all()
    assert trained.facts == {
        "epochs": 2,
        "validation_ndcg@10": 0.5,
        "minutes": 3.0,
        "curve": [0.4, 0.5],
    }


def test_input_files_hold_what_the_peer_is_promised(tmp_path: Path) -> None:
    peers.write_job(tmp_path / "job", FIELDS, content())
    assert json.loads((tmp_path / "job/job.json").read_text()).items() >= FIELDS.items()
    with np.load(tmp_path / "job/input.npz", allow_pickle=False) as found:
        assert found["catalogue_size"] == ITEMS
        assert found["offsets"][-1] == len(found["items"])
        assert not [name for name in found if name.startswith("absent")]
        names = [f"validation_{field}" for field in ("items", "start", "length", "target")]
        items, start, length, target = (found[name] for name in names)
        assert (items[start + length] == target).all()


def test_a_jobs_own_checkpoint_is_kept_and_another_jobs_deleted(tmp_path: Path) -> None:
    folder, changed = tmp_path / "job", content()
    peers.write_job(folder, FIELDS, content())
    checkpoint = folder / "last.ckpt"
    for fields, given, kept in (
        (FIELDS, content(), True),
        (FIELDS | {"seed": 2}, content(), False),
        (FIELDS | {"seed": 2}, changed | {"items": changed["items"][::-1]}, False),
    ):
        checkpoint.touch()
        peers.write_job(folder, fields, given)
        assert checkpoint.exists() == kept


def test_a_failing_process_is_named_with_the_end_of_what_it_said(tmp_path: Path) -> None:
    failing = program(tmp_path, "raise SystemExit('no room for 1024 negatives')")
    with pytest.raises(PeerError, match=r"ended with 1 (?s:.*)no room for 1024 negatives"):
        peers.run(tmp_path, Path(sys.executable), 1, failing)


def test_settings_come_from_the_configuration() -> None:
    config = RunConfig.model_validate(
        {
            "name": "shop",
            "output": Path("out"),
            "interactions": InteractionsConfig(path=Path("log.csv")),
            "threads": 3,
            "fit": {"width": 48, "negatives": 77, "dropout": 0.4, "patience": 6},
            "recommend": "all",
        }
    )
    settings = peers.settings("esasrec", config, epochs=9, seed=5)
    expected = {"kind": "esasrec", "width": 48, "negatives": 77, "dropout": 0.4, "patience": 6}
    expected |= {"epochs": 9, "seed": 5, "threads": 3, "batch_size": 128, "filter_seen": False}
    assert settings.items() >= expected.items()
