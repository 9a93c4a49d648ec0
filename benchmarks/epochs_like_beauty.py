"""Epochs of training over a drawn log as large as Amazon Beauty's, with the default model.

Only time counts: what is drawn can be learned by heart at best. ``benchmarks.gpu`` runs it.
"""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, Self

import numpy as np

from benchmarks import drawn
from benchmarks.timed import EpochClock, fit
from models.contract.ragged import before_each
from training.config import FitConfig
from training.data.histories import Histories, Part, targets

USERS, ITEMS, HISTORY = 22_000, 12_000, 9  # a history on average, of five items at least
_EPOCHS = 4
_LARGE = 65_536  # positions


class Way(NamedTuple):
    """What differs from the default settings."""

    told: str
    settings: dict[str, Any]
    as_default: bool  # whether the goal is for it


WAYS = (
    Way("float32", {}, True),
    Way("bfloat16", {"precision": "bf16-mixed"}, True),
    Way(f"bfloat16, {_LARGE:,} positions a batch", {
        "precision": "bf16-mixed", "batch_tokens": _LARGE}, False),
    Way("float32, compiled", {"compile": True}, True),
)  # fmt: skip


class Epoch(NamedTuple):
    """Seconds, medians over all epochs but the first."""

    training: float
    whole: float  # with validation and checkpoints

    @classmethod
    def of(cls, clock: EpochClock) -> Self:
        """As the clock has them."""
        whole = np.diff(clock.began)
        return cls(float(np.median(clock.training()[1:])), float(np.median(whole[1:])))


def measure(accelerator: Literal["cpu", "gpu"], *, small: bool) -> Iterator[tuple[Way, Epoch]]:
    """Every way; ``small``: a few users, and nothing is compiled, which takes its time."""
    users, items = (500, 400) if small else (USERS, ITEMS)
    log, table = drawn_log(users, items), drawn.semantic_ids(items)
    training, held_out = log.up_to(Part.TRAIN), targets(log, Part.VALIDATION)
    for way in WAYS:
        if small and way.settings.get("compile"):
            continue
        config = FitConfig(accelerator=accelerator, **way.settings)
        model, clock = drawn.sequence_model(config, table, training), EpochClock()
        fit(model, table, training, config, clock, held_out, _EPOCHS)
        yield way, Epoch.of(clock)


def drawn_log(users: int, items: int) -> Histories:
    """Some items far more popular than others; each user's last two are held out."""
    random = np.random.default_rng(3)
    length = 4 + random.geometric(1 / (HISTORY - 4), users)
    offsets = before_each(length)
    popular = (random.random(offsets[-1]) ** 3 * items).astype(np.int32)
    parts = np.full(offsets[-1], Part.TRAIN, np.uint8)
    parts[offsets[1:] - 2], parts[offsets[1:] - 1] = Part.VALIDATION, Part.TEST
    return Histories(offsets, popular, parts)
