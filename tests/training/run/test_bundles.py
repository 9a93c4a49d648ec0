"""`bbqrec-train bundles`, `activate` and `retire` as a person runs them."""

import shutil
import subprocess
from pathlib import Path

import pytest

from models.contract.store import BundleStore
from tests.training.shop_run import train


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "shop.toml"
    path.write_text('name = "shop"\noutput = "out"\n[interactions]\npath = "clicks.csv"\n')
    return path


@pytest.fixture
def store(config: Path, two_bundles: Path) -> BundleStore:
    return BundleStore(Path(shutil.copytree(two_bundles, config.parent / "out", symlinks=True)))


def said(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join((done.stdout + done.stderr).split())


def test_they_are_listed_and_activated_and_one_goes_back(config: Path, store: BundleStore) -> None:
    first, second = sorted(stored.digest for stored in store.bundles())
    for digest in (first, second, first):
        assert train("activate", config, digest[:8]).returncode == 0
        assert store.find() == (store.root / digest).resolve()
    assert train("activate", config, second[:8], "--as", "shadow").returncode == 0
    listed = said(train("bundles", config))
    assert first[:12] in listed
    assert second[:12] in listed
    assert "current" in listed
    assert "shadow" in listed
    assert train("retire", config, "shadow").returncode == 0
    assert "shadow" not in said(train("bundles", config))


def test_a_digest_of_no_bundle_is_one_clear_line(config: Path, store: BundleStore) -> None:
    refused = train("activate", config, "ffff")
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    assert "0 bundles" in said(refused)


def test_a_run_without_a_bundle_says_what_makes_one(config: Path) -> None:
    assert "bbqrec-train run" in said(train("bundles", config))
