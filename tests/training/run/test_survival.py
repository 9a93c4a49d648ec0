"""Training survives: what is killed goes on to the same weights, and two processes agree."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from models.contract.manifest import sha256
from tests.simulated_shop import Shop
from tests.training.run.conftest import Run
from tests.training.shop_run import PROGRAM, train, write_config

LEARNED = ("quantize/semantic_ids", "fit/weights", "requantize/semantic_ids", "refit/weights")


@pytest.fixture
def whole(trained: Run) -> Path:
    """The outputs of a run that nothing disturbed."""
    return trained.config.parent / "out"


def kill_once_there_is(checkpoint: Path, config: Path, patience: float = 600) -> None:
    """Start a run and kill it (-9) soon after it has written this checkpoint."""
    run = subprocess.Popen([PROGRAM, "run", config], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + patience
    try:
        while not checkpoint.exists():
            assert run.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.05)  # into the next epoch
    finally:
        run.kill()
        run.wait()
    assert run.returncode == -9


def test_a_run_killed_twice_ends_with_the_same_weights(
    whole: Path, shop: Shop, tmp_path: Path
) -> None:
    config, out = write_config(shop, tmp_path), tmp_path / "out"
    kill_once_there_is(out / "quantize/last.ckpt", config)
    kill_once_there_is(out / "fit/last.ckpt", config)
    assert not (out / "fit/stage.json").exists()
    done = train("run", config)
    assert done.returncode == 0, done.stderr
    for name in LEARNED:
        file = f"{name}.safetensors"
        assert sha256(out / file) == sha256(whole / file), name


def test_two_processes_agree_with_one(whole: Path, shop: Shop, tmp_path: Path) -> None:
    """Under torchrun: the same codes, and the same metrics within noise."""
    config, out = write_config(shop, tmp_path), tmp_path / "out"
    torchrun = Path(sys.executable).with_name("torchrun")
    options = ["--standalone", "--nproc-per-node", "2", "--no-python"]
    done = subprocess.run(
        [torchrun, *options, PROGRAM, "run", config],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    codes = "quantize/semantic_ids.safetensors"
    assert sha256(out / codes) == sha256(whole / codes)

    def evaluated(directory: Path) -> dict[str, Any]:
        found = json.loads((directory / "evaluate/evaluation.json").read_text())
        metrics: dict[str, Any] = found["models"]["bbqrec"]
        return metrics

    one, two = evaluated(whole), evaluated(out)
    print("ndcg@10 of one and of two processes", one["ndcg@10"], two["ndcg@10"])
    assert two["ndcg@10"] == pytest.approx(one["ndcg@10"], rel=0.15)
