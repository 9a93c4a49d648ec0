"""Fixtures that several folders of tests share.

What is costly and only read is made once in a run of the tests, by whichever process of
pytest-xdist needs it first. Heavy modules are imported where they are used: most folders need none.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

from models.contract.bundle import FILES
from models.contract.store import BundleStore

if TYPE_CHECKING:
    from tests.simulated_shop import Shop

# Tensors of tests are tiny: two threads an operation, in each of two processes, only get in each
# other's way. Set before torch is imported, and for the programs that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# How fast a machine with other work is says nothing about what is tested.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

# Begun first, so that no process is left with one of them at the end.
LONGEST = ("test_survival.py", "test_follow.py", "test_stale.py", "test_replicas.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONGEST)


class Once:
    """Folders that all processes of a run of the tests share."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, name: str, make: Callable[[Path], object]) -> Path:
        """The folder of that name, which ``make`` has filled. Only read it."""
        folder, done = self.root / name, self.root / f"{name}.done"
        with FileLock(self.root / f"{name}.lock"):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of a try that failed
                folder.mkdir()
                make(folder)
                done.touch()
        return folder


class TinyBundles:
    """What ``write_tiny_bundle`` writes: one of each kind is made, and copied."""

    def __init__(self, once: Once, directories: pytest.TempPathFactory) -> None:
        self.once = once
        self.directories = directories

    def copy(self, *, seed: int = 0, indexed: bool = False, remembers: bool = False) -> Path:
        """A folder with such a bundle, the caller's own."""

        def write(folder: Path) -> None:
            from tests.tiny_bundle import export_no_graph, write_tiny_bundle

            with pytest.MonkeyPatch.context() as patch:
                if indexed or remembers:
                    export_no_graph(patch, self.copy(seed=seed) / FILES.ONNX)
                write_tiny_bundle(folder, seed=seed, indexed=indexed, remembers=remembers)

        made = self.once.folder(f"tiny-{seed:d}{indexed:d}{remembers:d}", write)
        return Path(shutil.copytree(made, self.directories.mktemp("tiny") / "bundle"))


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    own = tmp_path_factory.getbasetemp()
    root = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "once"
    root.mkdir(exist_ok=True)
    return Once(root)


@pytest.fixture(scope="session")
def shop(once: Once, tmp_path_factory: pytest.TempPathFactory) -> "Shop":
    """The simulated shop at its default size. Session-wide: read it, do not write to it."""
    from tests.simulated_shop import simulate

    made = simulate(tmp_path_factory.mktemp("shop"))

    def copy(folder: Path) -> None:
        shutil.copytree(made.folder, folder, dirs_exist_ok=True)

    return replace(made, folder=once.folder("shop", copy))


@pytest.fixture(scope="session")
def tiny_bundles(once: Once, tmp_path_factory: pytest.TempPathFactory) -> TinyBundles:
    return TinyBundles(once, tmp_path_factory)


@pytest.fixture(scope="session")
def two_bundles(tiny_bundles: TinyBundles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output folder with two bundles. Session-wide: copy it, with its links."""
    output = tmp_path_factory.mktemp("two-bundles")
    for seed in (0, 1):
        with BundleStore(output).new() as partial:
            shutil.copytree(tiny_bundles.copy(seed=seed), partial, dirs_exist_ok=True)
    return output
