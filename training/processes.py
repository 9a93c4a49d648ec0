"""Several processes of one run, as torchrun starts them, and the randomness of each."""

import os
from dataclasses import dataclass

import lightning as L
import numpy as np
import torch


@dataclass(frozen=True)
class Process:
    """Which of how many processes this is."""

    rank: int
    count: int
    local_count: int = 1  # on this machine


ALONE = Process(0, 1)


def this_process() -> Process:
    """From the environment that torchrun sets; alone without it."""
    named = ("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_WORLD_SIZE", "1")
    return Process(*(int(os.environ.get(name, default)) for name, default in named))


def seed_run(seed: int, threads: int | None) -> None:
    """Before anything is drawn: the run's seed, and how many threads compute (None: all)."""
    L.seed_everything(seed, verbose=False)
    if threads:
        torch.set_num_threads(threads)


def seed_epoch(seed: int, epoch: int, process: Process = ALONE) -> None:
    """Seed torch from the run's seed, the epoch and the process.

    An epoch's randomness then depends on nothing that came before it, so that a run that was
    killed and goes on from a checkpoint ends with the weights of one that was not.
    """
    entropy = np.random.SeedSequence((seed, epoch, process.rank))
    torch.manual_seed(int(entropy.generate_state(1)[0]))
