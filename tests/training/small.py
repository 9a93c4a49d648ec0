"""A small world with a known truth: groups of items, users who stay in one, telling content."""

from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.contract.ragged import before_each
from models.contract.types import BEHAVIOUR, IMAGE, TEXT, Modality
from models.nets.words import ItemWords
from training.data.histories import Histories, Part
from training.quantize.behaviour import behaviour_embeddings
from training.quantize.views import View

GROUPS, PER_GROUP = 6, 12
ITEMS = GROUPS * PER_GROUP


# Every item has a word of its group's, and one that it shares with the item after it.
WORDS = ItemWords(
    np.arange(0, 2 * ITEMS + 1, 2),
    np.stack([np.arange(ITEMS) // PER_GROUP, GROUPS + np.arange(ITEMS) // 2], 1)
    .ravel()
    .astype(np.int32),
    GROUPS + ITEMS // 2,
)


class World(NamedTuple):
    histories: Histories
    group_N: NDArray[np.int64]
    views: dict[Modality, View]


def histories(seed: int = 0, users: int = 240) -> Histories:
    """Each user walks through the items of one group, mostly in the order of their index."""
    random = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        start, length = random.integers(PER_GROUP), random.integers(5, 10)
        rows.append((user % GROUPS) * PER_GROUP + (start + np.arange(length)) % PER_GROUP)
    return last_two_held_out(rows)


def all_learned(rows: Sequence[Sequence[int]]) -> Histories:
    """Of these items, all in the training part."""
    offsets, items = np.cumsum([0, *map(len, rows)]), np.array([*chain(*rows)], np.int32)
    return Histories(offsets, items, np.zeros(len(items), np.uint8))


def last_two_held_out(rows: Sequence[Sequence[int] | NDArray[np.integer[Any]]]) -> Histories:
    """Of these items, the last two of each user for validation and test."""
    offsets, items = before_each([len(row) for row in rows]), np.concatenate(rows)
    parts = np.concatenate([[0] * (len(row) - 2) + [1, 2] for row in rows])
    return Histories(offsets, items.astype(np.int32), parts.astype(np.uint8))


def world(seed: int = 0, flow: Histories | None = None) -> World:
    """Text shows the group under much noise of its own; pictures too, but a third are missing."""
    flow = flow or histories(seed)
    random = np.random.default_rng(seed + 1)
    group_N = np.arange(ITEMS) // PER_GROUP
    views = {}
    for modality, missing in ((TEXT, 0.0), (IMAGE, 0.33)):
        centres = random.normal(size=(GROUPS, 20))
        noise = random.normal(size=(ITEMS, 20))
        vectors = (centres[group_N] + noise).astype(np.float32)
        views[modality] = View.standardise(vectors, random.random(ITEMS) >= missing)
    training = flow.up_to(Part.TRAIN)
    views[BEHAVIOUR] = View.standardise(*behaviour_embeddings(training, ITEMS, 16, seed))
    return World(flow, group_N, views)
