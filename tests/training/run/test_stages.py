import json
import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import lightning as L
import numpy as np
import pytest
from typer.testing import CliRunner

from models.contract.standing import Standing
from training.cli import app
from training.config import RunConfig, load
from training.epoch_progress import EpochProgress
from training.errors import UserError
from training.run import costs
from training.run.pipeline import Pipeline, Stage

TOML = """
name = "test"
output = "out"
seed = {seed}
[interactions]
path = "log.csv"
[fit]
epochs = {epochs}
"""


class Journal:
    """Two stages that note when they run."""

    def __init__(self, directory: Path) -> None:
        self.ran: list[str] = []
        self.directory = directory
        (directory / "log.csv").write_text("user,item\n")

    def noting(self, name: str) -> Callable[[RunConfig, Path], str]:
        def run(config: RunConfig, directory: Path) -> str:
            self.ran.append(name)
            (directory / "output").write_text(name)
            return "fine"

        return run

    def run(self, seed: int = 1, epochs: int = 5, code: str = "") -> list[str]:
        (self.directory / "run.toml").write_text(TOML.format(seed=seed, epochs=epochs))
        stages = (
            Stage(
                "prepare",
                "",
                self.noting("prepare"),
                settings=("seed",),
                files=lambda config: [config.interactions.path],
            ),
            Stage("fit", "", self.noting("fit"), needs=("prepare",), settings=("fit",)),
        )
        self.pipeline = Pipeline(load(self.directory / "run.toml"), stages, lambda module: code)
        self.ran.clear()
        for name in self.pipeline.stages:
            if not self.pipeline.is_done(name):
                self.pipeline.run(name)
        return list(self.ran)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path)


def test_finished_stages_are_skipped(journal: Journal) -> None:
    assert journal.run() == ["prepare", "fit"]
    assert journal.run() == []


def test_a_changed_setting_reruns_its_stage_and_those_after_it(journal: Journal) -> None:
    journal.run()
    assert journal.run(epochs=6) == ["fit"]
    assert journal.run(epochs=6, seed=2) == ["prepare", "fit"]


def test_a_stage_notes_what_it_took_and_what_it_ran_with(journal: Journal) -> None:
    journal.run(epochs=7)
    noted = json.loads((journal.directory / "out/fit/stage.json").read_text())
    assert noted["settings"]["fit.epochs"] == 7
    assert "seed" not in noted["settings"]
    assert noted["versions"]["python"] == platform.python_version()
    assert noted["versions"]["torch"] == version("torch")
    assert noted["cpus"] >= 1
    assert noted["seconds"] >= 0


def test_the_peak_of_a_stage_is_its_own() -> None:
    before = costs.peak()
    if before is None:
        pytest.skip("this system does not tell a peak")
    large = np.ones(16_000_000)
    most = costs.peak()
    assert most is not None
    del large
    costs.forget_peak()
    after = costs.peak()
    assert after is not None
    if after == most:
        pytest.skip("this system does not forget a peak")
    assert most - after > 100_000_000


def test_what_was_killed_while_it_was_cleared_is_not_done(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other settings, and then those from before again."""
    journal.run()
    (journal.directory / "out/prepare/weights").touch()
    unlink = Path.unlink

    def killed(path: Path, missing_ok: bool = False) -> None:
        unlink(path, missing_ok)
        if path.name == "weights":
            raise KeyboardInterrupt

    monkeypatch.setattr(Path, "unlink", killed)
    with pytest.raises(KeyboardInterrupt):
        journal.run(seed=2)
    assert journal.run() == ["prepare"]


def test_changed_code_reruns(journal: Journal) -> None:
    journal.run()
    assert journal.run(code="other") == ["prepare", "fit"]
    assert journal.run(code="other") == []


def test_a_changed_file_reruns_but_a_touched_one_does_not(journal: Journal) -> None:
    journal.run()
    log = journal.directory / "log.csv"
    log.touch()
    assert journal.run() == []
    log.write_text("user,item\n1,2\n")
    assert journal.run() == ["prepare", "fit"]


def test_a_log_that_grows_while_a_run_reads_it_stops_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path)
    (tmp_path / "run.toml").write_text(TOML.format(seed=1, epochs=1))

    def grows(config: RunConfig, directory: Path) -> str:
        with config.interactions.path.open("a") as log:
            log.write("1,2\n")
        return journal.noting("prepare")(config, directory)

    first = Stage("prepare", "", grows, files=lambda config: [config.interactions.path])
    stages = (first, Stage("fit", "", journal.noting("fit"), needs=("prepare",)))
    for stage in stages:
        stage.run.__module__ = "training.run.prepare"  # of tests, no code is hashed
    monkeypatch.setattr("training.run.stages.STAGES", stages)
    for _ in range(2):  # the second learns what came during the first
        done = CliRunner().invoke(app, ["run", str(tmp_path / "run.toml")])
        assert done.exit_code == 0, done.exception
    assert journal.ran == ["prepare", "fit", "prepare", "fit"]


def test_a_stage_refuses_to_run_before_what_it_needs(journal: Journal) -> None:
    journal.run()
    journal.run(seed=1)
    (journal.directory / "out/prepare/stage.json").unlink()
    with pytest.raises(UserError, match=r"needs stage `prepare`.*bbqrec-train prepare"):
        journal.pipeline.run("fit")


def test_leftovers_of_other_inputs_are_cleared_but_our_own_are_kept(journal: Journal) -> None:
    """A checkpoint of an interrupted run is resumed from; one of another configuration never is."""
    journal.run()
    checkpoint = journal.directory / "out/fit/last.ckpt"
    checkpoint.write_text("half")
    (journal.directory / "out/fit/stage.json").unlink()
    journal.run()
    assert checkpoint.exists()
    journal.run(epochs=9)
    assert not checkpoint.exists()


def test_a_run_moved_to_another_folder_is_still_done(journal: Journal, tmp_path: Path) -> None:
    journal.run()
    moved = tmp_path.with_name(tmp_path.name + "-moved")
    tmp_path.rename(moved)
    journal.directory = moved
    assert journal.run() == []


def test_where_a_run_stands_is_told_while_it_runs(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    told: list[Standing | None] = []

    def noting(name: str) -> Callable[[RunConfig, Path], str]:
        def run(config: RunConfig, directory: Path) -> str:
            told.append(Standing.read(config.output))
            if name == "fit":
                raise UserError("the log has no users")
            return "fine"

        return run

    journal.noting = noting  # type: ignore[method-assign]
    with pytest.raises(UserError):
        journal.run()
    first, second = told
    assert first is not None
    assert second is not None
    assert (first.stage, first.number, first.of, first.state) == ("prepare", 1, 2, "running")
    assert (second.stage, second.number) == ("fit", 2)
    last = Standing.read(tmp_path / "out")
    assert last is not None
    assert (last.state, last.message) == ("failed", "the log has no users")
    assert [path.name for path in (tmp_path / "out").glob(".*")] == []


def test_epochs_are_told_only_where_a_run_tells_where_it_stands(tmp_path: Path) -> None:
    trainer = SimpleNamespace(current_epoch=2, max_epochs=12, is_global_zero=True)
    told = EpochProgress(tmp_path)
    told.on_train_epoch_end(cast(L.Trainer, trainer))
    assert list(tmp_path.iterdir()) == []
    Standing(stage="fit", title="", number=1, of=2).write(tmp_path)
    told.on_train_epoch_end(cast(L.Trainer, trainer))
    standing = Standing.read(tmp_path)
    assert standing is not None
    assert standing.share == 0.25
