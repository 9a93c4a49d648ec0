"""What is kept of every job: ranks of its events, one small file a model and seed."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.store import Job

NEAR = 50  # ranks beyond it are all the same to every metric, and kept as 0
Judged = dict[str, NDArray[np.uint8]]


class Kept(NamedTuple):
    """Ranks by kind of events (``events_of``), ``shown`` of the ten, and facts of the job."""

    judged: Judged
    facts: dict[str, Any]


class ColdStore:
    """Finished jobs in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, job: Job) -> Path:
        """``beauty/content-knn-5/seed-1.npz``."""
        return self.root / job.dataset / job.model / f"seed-{job.seed}.npz"

    def read(self, job: Job) -> Kept | None:
        """A finished job, or None."""
        if not (path := self.path(job)).exists():
            return None
        with np.load(path, allow_pickle=False) as held:
            judged = {name: held[name] for name in held.files if name != "facts"}
            return Kept(judged, json.loads(str(held["facts"])))

    def write(self, job: Job, judged: Judged, facts: dict[str, Any]) -> None:
        """Keep a finished job; a reader never sees half a file."""
        path = self.path(job)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        with unfinished.open("wb") as file:
            arrays: dict[str, Any] = {**judged, "facts": np.array(json.dumps(facts))}
            np.savez_compressed(file, **arrays)
        unfinished.replace(path)

    def datasets(self) -> list[str]:
        """Data sets of which anything is kept."""
        return sorted({path.parts[-3] for path in self.root.glob("*/*/*.npz")})

    def models(self, dataset: str) -> dict[str, dict[int, Kept]]:
        """Of one data set: what is kept, by model and seed."""
        found: dict[str, dict[int, Kept]] = {}
        for path in sorted((self.root / dataset).glob("*/seed-*.npz")):
            job = Job(dataset, path.parent.name, int(path.stem.removeprefix("seed-")), "strict")
            if kept := self.read(job):
                found.setdefault(job.model, {})[job.seed] = kept
        return found
