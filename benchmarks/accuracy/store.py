"""What is kept of every finished job: small files beside the report, so that a table can be made
again, and a run go on, from a fresh clone.

A file holds the rank of every user's held-out item, which all accuracy metrics are made from, and
the job's facts. No pickle: a compressed ``.npz`` of bytes and one JSON string.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Protocol = Literal["strict", "refit"]
_FACTS = "facts"
TOP = 20  # ranks beyond it are all the same to every metric


class Job(NamedTuple):
    """What to train, on which seed."""

    dataset: str
    model: str
    seed: int
    protocol: Protocol


class Finished(NamedTuple):
    """A job that was done."""

    rank_U: NDArray[np.uint8]  # of the held-out item, 1 is best; 0 is anything beyond TOP
    facts: dict[str, Any]


class Store:
    """Finished jobs in a folder, one file each."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, job: Job) -> Path:
        """``beauty/sasrec-ss/strict-1.npz``."""
        return self.root / job.dataset / job.model / f"{job.protocol}-{job.seed}.npz"

    def read(self, job: Job) -> Finished | None:
        """A finished job, or None."""
        path = self.path(job)
        return _read(path) if path.exists() else None

    def seeds(self, dataset: str, model: str, protocol: Protocol) -> dict[Job, Finished]:
        """A model's finished jobs, a seed each."""
        paths = sorted((self.root / dataset / model).glob(f"{protocol}-*.npz"))
        numbers = [int(path.stem.removeprefix(f"{protocol}-")) for path in paths]
        pairs = zip(numbers, paths, strict=True)
        return {Job(dataset, model, seed, protocol): _read(path) for seed, path in pairs}

    def write(self, job: Job, rank_U: NDArray[np.int64], facts: dict[str, Any]) -> None:
        """Keep a finished job; a reader never sees half a file."""
        write_arrays(self.path(job), {"rank": near(rank_U, TOP)}, facts)

    def datasets(self) -> list[str]:
        """Data sets of which anything is finished."""
        return sorted(path.name for path in self.root.glob("*") if any(path.glob("*/*.npz")))


def near(rank_U: NDArray[np.int64], most: int) -> NDArray[np.uint8]:
    """Ranks, with 0 for all beyond ``most``."""
    return np.where(rank_U <= most, rank_U, 0).astype(np.uint8)


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], facts: Any) -> None:
    """Keep arrays, and facts as JSON, in one file; a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    content: dict[str, Any] = {**arrays, _FACTS: np.array(json.dumps(facts))}
    with unfinished.open("wb") as file:
        np.savez_compressed(file, **content)
    unfinished.replace(path)


def read_arrays(path: Path) -> tuple[dict[str, NDArray[Any]], Any]:
    """What ``write_arrays`` kept."""
    with np.load(path, allow_pickle=False) as held:
        arrays = {name: held[name] for name in held.files if name != _FACTS}
        return arrays, json.loads(str(held[_FACTS]))


def _read(path: Path) -> Finished:
    arrays, facts = read_arrays(path)
    return Finished(arrays["rank"], facts)
