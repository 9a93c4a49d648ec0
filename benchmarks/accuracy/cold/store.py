"""What is kept of every job: ranks of its events, one small file a model and seed."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.store import Job

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

    def events(self, dataset: str) -> Events:
        """What the models of a data set were judged on."""
        with np.load(self.root / dataset / "events.npz", allow_pickle=False) as held:
            split, cold_share = json.loads(str(held["facts"]))
            names = ("user", "target", "new")
            kinds = {kind: {name: held[f"{kind} {name}"] for name in names} for kind in KINDS}
            return Events(split, cold_share, kinds)

    def write_events(self, dataset: str, events: Events) -> None:
        """Keep them, for tables to be made where the data are not."""
        (self.root / dataset).mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {
            f"{kind} {name}": values_E
            for kind, of in events.kinds.items()
            for name, values_E in of.items()
        }
        arrays["facts"] = np.array(json.dumps([events.split, events.cold_share]))
        with (self.root / dataset / "events.npz").open("wb") as file:
            np.savez_compressed(file, **arrays)

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
