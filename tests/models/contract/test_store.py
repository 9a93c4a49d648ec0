"""Bundles beside each other: never changed, activated by one rename, pruned but for those used."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from models.contract import store as stores
from models.contract.bundle import FILES, MANIFEST, BundleError
from models.contract.store import BundleStore


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> BundleStore:
    return BundleStore(tmp_path_factory.mktemp("output"))


def add(store: BundleStore, bundle: Path, number: int) -> str:
    """A bundle of its own digest, made after those of lower numbers."""
    manifest = json.loads((bundle / MANIFEST).read_text())
    manifest["created_at"] = f"2026-01-01T00:00:{number:02}+00:00"
    before = {stored.digest for stored in store.bundles()}
    with store.new() as partial:
        for path in bundle.iterdir():
            (partial / path.name).write_bytes(path.read_bytes())
        (partial / MANIFEST).write_text(json.dumps(manifest))
    (digest,) = {stored.digest for stored in store.bundles()} - before
    return digest


def test_activating_and_going_back(store: BundleStore, directory: Path) -> None:
    first, second = add(store, directory, 1), add(store, directory, 2)
    assert store.find() is None
    store.activate(first)
    assert store.find() == (store.root / first).resolve()
    store.activate(second[:8])
    assert store.find() == (store.root / second).resolve()
    store.activate(first)
    store.activate(second, "shadow")
    assert [stored.roles for stored in store.bundles()] == [("shadow",), ("current",)]
    store.retire("shadow")
    assert store.find("shadow") is None


def test_a_link_moves_with_the_folder(store: BundleStore, directory: Path, tmp_path: Path) -> None:
    """A volume is mounted elsewhere in a container."""
    digest = add(store, directory, 1)
    store.activate(digest)
    moved = store.output.rename(tmp_path / "moved")
    assert BundleStore(moved).find() == (moved / "bundles" / digest).resolve()


@pytest.mark.parametrize("wanted", ["", "0", "no-such-digest"])
def test_a_digest_that_names_no_bundle_is_refused(
    store: BundleStore, directory: Path, wanted: str
) -> None:
    digest = add(store, directory, 1)
    store.activate(digest)
    with pytest.raises(BundleError, match=digest[:12]):
        store.activate(wanted)
    assert store.find() == (store.root / digest).resolve()


def test_a_digest_that_names_several_bundles_is_refused(
    store: BundleStore, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the newest of them is taken: whoever typed it may have meant the other."""
    monkeypatch.setattr(stores, "_SHORTEST", 0)  # no digest starts like another by chance
    digests = [add(store, directory, n) for n in range(2)]
    with pytest.raises(BundleError, match="2 bundles of") as refused:
        store.activate("")
    assert all(digest[:12] in str(refused.value) for digest in digests)
    assert store.find() is None


def test_a_link_to_a_bundle_that_was_removed_leads_to_none(
    store: BundleStore, directory: Path
) -> None:
    digest = add(store, directory, 1)
    store.activate(digest)
    shutil.rmtree(store.root / digest)
    assert store.find() is None


def test_the_same_bundle_again_is_the_one_that_is_there(
    store: BundleStore, directory: Path
) -> None:
    """As where a run is repeated: nothing is made anew under whoever has it open."""
    digest = add(store, directory, 1)
    before = (store.root / digest).stat().st_ino
    with store.new() as partial:
        shutil.copytree(store.root / digest, partial, dirs_exist_ok=True)
    assert [path.name for path in store.root.iterdir()] == [digest]
    assert (store.root / digest).stat().st_ino == before


def test_the_newest_stay_and_those_that_serve(store: BundleStore, directory: Path) -> None:
    digests = [add(store, directory, n) for n in range(5)]
    store.activate(digests[0])
    assert store.prune(keep=2) == [digests[2], digests[1]]
    assert {stored.digest for stored in store.bundles()} == {digests[n] for n in (0, 3, 4)}


def test_what_serves_meanwhile_is_not_removed(
    store: BundleStore, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody goes back to an old bundle while others are removed."""
    digests = [add(store, directory, n) for n in range(3)]
    remove = shutil.rmtree

    def slowly(path: Path) -> None:
        remove(path)
        monkeypatch.setattr(shutil, "rmtree", remove)
        store.activate(digests[0])

    monkeypatch.setattr(shutil, "rmtree", slowly)
    assert store.prune(keep=1) == [digests[1]]
    assert store.find() == (store.root / digests[0]).resolve()


def test_what_is_half_removed_is_no_bundle(
    store: BundleStore, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed meanwhile, it must not be listed, and activated."""
    digests = [add(store, directory, n) for n in range(2)]

    def killed(path: Path) -> None:
        (path / FILES.WEIGHTS).unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        store.prune(keep=1)
    assert [stored.digest for stored in store.bundles()] == [digests[1]]


def test_nothing_is_left_of_one_that_could_not_be_written(store: BundleStore) -> None:
    def fail() -> None:
        with store.new() as partial:
            (partial / FILES.ONNX).write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with store.new() as partial:
        (partial / FILES.ONNX).write_bytes(b"no manifest")
    assert list(store.root.iterdir()) == []


def test_what_a_killed_export_left_is_gone_a_day_later(store: BundleStore) -> None:
    for name, hours in ((".partial-old", 25), (".partial-of-another-that-writes", 1)):
        left = store.root / name
        left.mkdir(parents=True)
        (left / FILES.ONNX).write_bytes(b"half")
        os.utime(left, (time.time() - 3600 * hours,) * 2)
    with store.new():
        pass
    assert [path.name for path in store.root.iterdir()] == [".partial-of-another-that-writes"]


def test_files_are_for_everybody_to_read_and_nobody_to_write(
    store: BundleStore, directory: Path
) -> None:
    digest = add(store, directory, 1)
    assert {path.stat().st_mode & 0o777 for path in (store.root / digest).iterdir()} == {0o444}
