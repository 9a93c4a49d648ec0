"""RecTools' own SASRec and eSASRec as rows of the table.

They run in an environment of their own (``benchmarks/peers``); the two sides talk through files.
"""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.environment import rectools_python
from models.contract.types import FloatArray
from training import stage_files
from training.config import RunConfig
from training.data.histories import EvaluationSet, Histories, Windows
from training.evaluate.ranking import Ranker

Kind = Literal["sasrec", "esasrec"]
SCRIPT = Path(__file__).parents[1] / "peers" / "rectools_sequence.py"
SESSIONS = 128  # a batch, RecTools' default
FEED_FORWARD = 4  # eSASRec's hidden units, as a multiple of the width
JOB, INPUT, OUTPUT, DONE, LOG = "job.json", "input.npz", "output.npz", "done.json", "log.txt"


class VectorRanker:
    """Ready vectors as a Ranker; a user is known by where the history starts.

    user_vectors_UD and item_vectors_ND: D is the peer's width and one column more, by which items
    that the peer does not know come last. start_U: ``EvaluationSet.start`` of the same users.
    """

    def __init__(
        self, user_vectors_UD: FloatArray, item_vectors_ND: FloatArray, start_U: NDArray[np.int64]
    ) -> None:
        order_U = np.argsort(start_U)
        self.start_U, self.user_vectors_UD = start_U[order_U], user_vectors_UD[order_U]
        self.item_vectors_ND = item_vectors_ND

    def score(self, items: NDArray[np.int32], windows: Windows) -> FloatArray:
        """Scores (B, N). Raises ValueError for a history that is nobody's."""
        found_B = np.searchsorted(self.start_U, windows.start).clip(max=len(self.start_U) - 1)
        if (self.start_U[found_B] != windows.start).any():
            raise ValueError("a history starts where none of the peer's users has one")
        scores_BN: FloatArray = self.user_vectors_UD[found_B] @ self.item_vectors_ND.T
        return scores_BN


class PeerError(RuntimeError):
    """The peer's process failed."""


class Trained(NamedTuple):
    """What a finished job folder holds."""

    user_vectors_UD: FloatArray
    item_vectors_ND: FloatArray
    facts: dict[str, Any]


def train_peer(
    kind: Kind,
    config: RunConfig,
    known: Histories,
    validation: EvaluationSet | None,
    test: EvaluationSet,
    epochs: int,
    seed: int,
    directory: Path,
) -> tuple[Ranker, dict[str, Any]]:
    """Train RecTools' own model on ``known``: a ranker of the users of ``test``, and facts.

    With ``validation``, at most ``epochs``, of which the best is kept; without, exactly so many.
    The facts: epochs, validation_ndcg@10, curve (a value an epoch), minutes (of CPU, of the peer's
    process). Files go to ``directory/rectools``; the same call after a crash goes on from the last
    epoch.
    """
    size, folder = stage_files.data(config).card.items, directory / "rectools"
    fields = settings(kind, config, epochs, seed) | {"feed_forward": FEED_FORWARD}
    write_job(folder, fields, arrays(known, size, {"validation": validation, "test": test}))
    if not (folder / DONE).exists():
        run(folder, rectools_python(), config.threads or 1)
    trained = read(folder)
    return VectorRanker(trained.user_vectors_UD, trained.item_vectors_ND, test.start), trained.facts


def settings(kind: Kind, config: RunConfig, epochs: int, seed: int) -> dict[str, Any]:
    """``job.json``: whatever means the same on both sides is taken from the configuration."""
    shared = ("width", "blocks", "heads", "dropout", "max_history", "negatives", "learning_rate")
    return {
        "kind": kind,
        **config.fit.model_dump(include={*shared, "patience"}),
        "batch_size": SESSIONS,
        "epochs": epochs,
        "seed": seed,
        "threads": config.threads or 1,
        "filter_seen": config.filter_seen,
    }


def arrays(
    known: Histories, catalogue_size: int, sets: dict[str, EvaluationSet | None]
) -> dict[str, NDArray[Any]]:
    """``input.npz``: training histories, and each evaluation set that there is."""
    found: dict[str, NDArray[Any]] = {
        "offsets": known.offsets,
        "items": known.items,
        "catalogue_size": np.array(catalogue_size),
    }
    for name, held_out in sets.items():
        if held_out is not None:
            found |= {
                f"{name}_items": held_out.items,
                f"{name}_start": held_out.start,
                f"{name}_length": held_out.length,
                f"{name}_target": held_out.target,
            }
    return found


def write_job(folder: Path, fields: dict[str, Any], content: dict[str, NDArray[Any]]) -> None:
    """Both input files. What another job left in the folder is deleted, this job's own is kept."""
    digest = hashlib.sha256()
    for name, array in content.items():
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    job = fields | {"input": digest.hexdigest()}
    if (folder / JOB).exists() and json.loads((folder / JOB).read_text()) == job:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    np.savez(folder / INPUT, allow_pickle=False, **content)
    # Last: without it the folder is not taken for this job's.
    stage_files.write_json(folder / JOB, job)


def run(folder: Path, python: Path, threads: int, script: Path = SCRIPT) -> None:
    """Run the peer's process to its end; what it prints is added to ``log.txt``.

    Raises PeerError with the end of that file.
    """
    counts = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    with (folder / LOG).open("ab") as log:
        command = [python, script, folder]
        environment = {**os.environ, **counts}
        done = subprocess.run(command, stdout=log, stderr=log, env=environment, check=False)
    if done.returncode:
        end = "\n".join((folder / LOG).read_text(errors="replace").splitlines()[-15:])
        raise PeerError(f"{script.name} ended with {done.returncode} in {folder}:\n{end}")


def read(folder: Path) -> Trained:
    """What the peer left."""
    with np.load(folder / OUTPUT, allow_pickle=False) as found:
        users_UD, items_ND = found["test_user_vectors"], found["item_vectors"]
    facts = stage_files.read_json(folder / DONE)
    facts["minutes"] = facts.pop("cpu_minutes")
    return Trained(users_UD, items_ND, facts)
