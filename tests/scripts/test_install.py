"""scripts/install.sh: what it asks pip for, and that pages of pip's are kept out of sight."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
# Stands for a Python whose pip takes note of what it is asked, says a lot, and may fail.
FAKE_PYTHON = f"""#!/bin/sh
here=$(dirname "$0")
case "$*" in
    "-m pip"*) echo "$*" >>"$here/asked"; seq -f 'pip says %.0f' 200; ! grep -q . "$here/fails" ;;
    *sys.prefix*) echo "$here" ;;
    *) exec {sys.executable} "$@" ;;
esac
"""


class Installed(NamedTuple):
    status: int
    said: str
    asked: list[str]  # calls of pip
    log: Path


def install(folder: Path, extras: str, *options: str, fails: str = "") -> Installed:
    python = folder / "python"
    python.write_text(FAKE_PYTHON, encoding="utf-8")
    python.chmod(0o755)
    (folder / "fails").write_text(fails, encoding="utf-8")
    (folder / "asked").touch()
    script: list[str | Path] = [ROOT / "scripts/install.sh", *options, python, extras]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    asked = (folder / "asked").read_text(encoding="utf-8").splitlines()
    return Installed(done.returncode, done.stdout + done.stderr, asked, folder / "install.log")


@pytest.mark.parametrize(
    "extras", ["train,serve,cpu,dev", "serve,cpu,torch", "encoders", "train,serve,gpu"]
)
def test_torch_is_installed_first_where_an_extra_needs_it(tmp_path: Path, extras: str) -> None:
    done = install(tmp_path, extras)
    assert done.status == 0
    first, second = done.asked
    assert "torch==" in first
    assert first.split()[-1].startswith("torch==")
    assert second.endswith(f"-e {ROOT}[{extras}]")


@pytest.mark.parametrize("extras", ["serve,cpu", "serve", "dev"])
def test_no_torch_is_installed_where_no_extra_needs_it(tmp_path: Path, extras: str) -> None:
    done = install(tmp_path, extras)
    assert done.status == 0
    assert len(done.asked) == 1
    assert "torch" not in done.asked[0].replace(str(ROOT), "")


@pytest.mark.parametrize(("extras", "build"), [("serve,gpu", "==="), ("train,cpu", "+cpu")])
def test_a_gpu_is_given_the_build_of_torch_that_can_use_it(
    tmp_path: Path, extras: str, build: str
) -> None:
    assert build in install(tmp_path, extras).asked[0].split()[-1]


def test_a_line_a_step_is_printed_and_pips_pages_are_in_the_log(tmp_path: Path) -> None:
    done = install(tmp_path, "train,serve,cpu,dev")
    lines = done.said.splitlines()
    assert len(lines) <= 4
    assert all(line.startswith("install: ") for line in lines)
    assert done.log.read_text(encoding="utf-8").count("pip says") == 400


@pytest.mark.parametrize("extras", ["serve,cpu", "train,cpu"])
def test_a_step_that_fails_names_the_log_and_shows_its_end(tmp_path: Path, extras: str) -> None:
    done = install(tmp_path, extras, fails="yes")
    assert done.status == 1
    assert str(done.log) in done.said.splitlines()[-1]
    assert "pip says 200\n" in done.said
    assert "pip says 100\n" not in done.said


@pytest.mark.parametrize(
    ("extras", "options", "said"),
    [
        ("serve,cpus", (), "no extra 'cpus'; there are train, serve, cpu"),
        ("train,serve", (), "'train' wants 'cpu' or 'gpu'"),
        ("serve,gpu,cpu", (), "'gpu' clashes with 'cpu'"),
        ("serve,cpu", ("--cuda-torch",), "usage"),
    ],
)
def test_what_cannot_be_is_refused_before_pip_is_asked(
    tmp_path: Path, extras: str, options: tuple[str, ...], said: str
) -> None:
    done = install(tmp_path, extras, *options)
    assert done.status == 1
    assert done.asked == []
    assert len(done.said.splitlines()) == 1
    assert said in done.said


def test_an_index_that_is_not_there_fails_for_real_and_names_the_log(tmp_path: Path) -> None:
    target = tmp_path / "environment"
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    script: list[str | Path] = [ROOT / "scripts/install.sh", target, "serve", "--no-index"]
    done = subprocess.run(
        script,
        env=quiet | {"PIP_CONFIG_FILE": os.devnull, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert str(target / "install.log") in done.stderr
    assert "ERROR: " in done.stderr
    assert "ERROR: " in (target / "install.log").read_text(encoding="utf-8")
