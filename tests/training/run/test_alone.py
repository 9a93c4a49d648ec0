"""One training at a time in an output folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from training.cli import app
from training.config import load
from training.errors import UserError
from training.follow.follow import Follower, Following
from training.run.alone import alone

TOML = 'name = "test"\noutput = "out"\n[interactions]\npath = "log.csv"\n'
HOLDS = "import sys, pathlib, training.run.alone as a; c = a.alone(pathlib.Path(sys.argv[1]))"
WAITS = f"{HOLDS}; c.__enter__(); print('held', flush=True); sys.stdin.read()"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(TOML)
    (tmp_path / "log.csv").write_text("user,item\nu,a\nu,b\nu,c\n")
    return path


@pytest.mark.parametrize("verb", ["run", "prepare"])
def test_a_second_training_is_refused(config: Path, verb: str) -> None:
    with alone(config.parent / "out"):
        done = CliRunner().invoke(app, [verb, str(config)])
    assert isinstance(done.exception, UserError)
    assert f"process {os.getpid()}, trains in {config.parent / 'out'}" in str(done.exception)
    assert not (config.parent / "out/prepare").exists()


def test_what_follows_leaves_a_training_alone(config: Path) -> None:
    follower = Follower(load(config), Following(), print)
    with alone(config.parent / "out"), pytest.raises(UserError, match="trains in"):
        follower.look()
    assert not (config.parent / "out/prepare").exists()


def test_what_was_killed_keeps_nobody_out(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WAITS, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(UserError, match=f"process {other.pid}, trains in"), alone(tmp_path):
            pass
        other.kill()
        other.wait()
    with alone(tmp_path):
        pass
