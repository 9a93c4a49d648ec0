"""What is kept of every job: ranks of its events, one small file a model and seed."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.store import Job, read_arrays, write_arrays

NEAR = 50  # ranks beyond it are all the same to every metric, and kept as 0
# Candidates and targets: new items among all, among the new; known ones among all; whatever comes.
KINDS = ("all-cold", "cold-cold", "all-warm", "all-all")
Judged = dict[str, NDArray[np.uint8]]


class Events(NamedTuple):
    """What every model of a data set is judged on: by kind, who took which item, and if new."""

    split: str
    cold_share: float
    kinds: dict[str, dict[str, NDArray[Any]]]  # user, target, new: (E,) each


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
        path = self.path(job)
        return Kept(*read_arrays(path)) if path.exists() else None

    def write(self, job: Job, judged: Judged, facts: dict[str, Any]) -> None:
        """Keep a finished job."""
        write_arrays(self.path(job), judged, facts)

    def events(self, dataset: str) -> Events:
        """What the models of a data set were judged on."""
        arrays, (split, cold_share) = read_arrays(self._events(dataset))
        names = ("user", "target", "new")
        kinds = {kind: {name: arrays[f"{kind} {name}"] for name in names} for kind in KINDS}
        return Events(split, cold_share, kinds)

    def write_events(self, dataset: str, events: Events) -> None:
        """Keep them, for tables to be made where the data are not."""
        arrays = {
            f"{kind} {name}": values_E
            for kind, of in events.kinds.items()
            for name, values_E in of.items()
        }
        write_arrays(self._events(dataset), arrays, [events.split, events.cold_share])

    def _events(self, dataset: str) -> Path:
        return self.root / dataset / "events.npz"

    def datasets(self) -> list[str]:
        """Data sets of which anything is kept."""
        return sorted(path.parent.name for path in self.root.glob("*/events.npz"))

    def models(self, dataset: str) -> dict[str, dict[int, Kept]]:
        """Of one data set: what is kept, by model and seed."""
        found: dict[str, dict[int, Kept]] = {}
        for path in sorted((self.root / dataset).glob("*/seed-*.npz")):
            job = Job(dataset, path.parent.name, int(path.stem.removeprefix("seed-")), "strict")
            if kept := self.read(job):
                found.setdefault(job.model, {})[job.seed] = kept
        return found
