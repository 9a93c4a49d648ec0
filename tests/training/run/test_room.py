"""A disk that is full: one clear message, from whatever came upon it."""

import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from models.contract.standing import Standing
from training.config import RunConfig, load
from training.errors import UserError
from training.run.pipeline import Pipeline, Stage
from training.run.room import room

TOML = 'name = "test"\noutput = "out"\n[interactions]\npath = "log.csv"\n'
FULL = OSError(errno.ENOSPC, "No space left on device", "weights")


def pipeline(folder: Path, run: Callable[[RunConfig, Path], str]) -> Pipeline:
    (folder / "run.toml").write_text(TOML)
    return Pipeline(load(folder / "run.toml"), (Stage("fit", "", run),), lambda module: "")


def raising(error: Exception) -> Callable[[RunConfig, Path], str]:
    def run(config: RunConfig, directory: Path) -> str:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (FULL, "weights"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "weights"), "weights"),
        (ValueError("I/O error: No space left on device (os error 28)"), "out"),
    ],
)
def test_what_lacks_room_is_named(tmp_path: Path, error: Exception, what: str) -> None:
    run = pipeline(tmp_path, raising(error))
    with pytest.raises(UserError, match=rf"no room is left for stage `fit`: .*{what} could not"):
        run.run("fit")
    standing = Standing.read(tmp_path / "out")
    assert standing is not None
    assert (standing.state, "no room is left" in str(standing.message)) == ("failed", True)
    assert not run.is_done("fit")
    assert pipeline(tmp_path, lambda config, directory: "fine").run("fit") == "fine"


def test_torch_does_not_say_why_it_cannot_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error, free = RuntimeError("PytorchStreamWriter failed writing file"), 2**30
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    with pytest.raises(RuntimeError), room(tmp_path, "it"):
        raise error
    free = 0
    with pytest.raises(UserError, match="0 MiB are free"), room(tmp_path, "it"):
        raise error


def test_what_cannot_be_told_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(config: RunConfig, directory: Path) -> str:
        monkeypatch.setattr(Standing, "write", lambda *_: raising(FULL)(config, directory))
        raise UserError("the column is wrong")

    with pytest.raises(UserError, match="the column is wrong"):
        pipeline(tmp_path, run).run("fit")
