"""A bundle with random weights, really exported: what it answers means nothing, what it costs does.

So that the benchmark needs no data and no training.
"""

import json
from pathlib import Path

import numpy as np
import torch

from benchmarks import drawn
from models.contract import bundle
from models.contract.bundle import Bundle, CatalogueItem
from models.contract.memory import Memory
from models.contract.ragged import before_each
from training.config import ExportConfig, FitConfig
from training.data.histories import Histories, Part, targets
from training.export.export import export_bundle

SEQUENCES = Path("../shared/data/amazon_beauty/sequences.txt")  # `user item item ...` a line
WIDE = FitConfig(width=128, blocks=2, towers=(("codes", "id"),), max_history=200, dropout=0)
DEFAULT = FitConfig(blocks=1, max_history=200, dropout=0)  # as every configuration here has it
_USERS = 500


def lengths(users: int) -> list[int]:
    """Lengths of histories: Amazon Beauty's where they are at hand, else drawn to be like them."""
    random = np.random.default_rng(0)
    if SEQUENCES.exists():
        lines = SEQUENCES.read_text(encoding="utf-8").splitlines()
        real = [min(50, len(line.split()) - 1) for line in lines]
        return [int(n) for n in random.choice(real, users)]
    return [int(n) for n in np.minimum(50, 4 + random.geometric(0.2, users))]


def histories(items: int, sizes: list[int]) -> Histories:
    """One for each size; all for training but the last two items."""
    random = np.random.default_rng(1)
    offsets = before_each(np.array(sizes) + 2)
    parts = np.concatenate([[Part.TRAIN] * n + [Part.VALIDATION, Part.TEST] for n in sizes])
    chosen = random.integers(0, items, offsets[-1]).astype(np.int32)
    return Histories(offsets, chosen, parts.astype(np.uint8))


def bodies(count: int, items: int) -> list[str]:
    """Requests of so many users, of real lengths."""
    random = np.random.default_rng(2)
    return [
        json.dumps({"history": [f"item-{n}" for n in random.integers(0, items, size)], "k": 10})
        for size in lengths(count)
    ]


def write(
    directory: Path, config: FitConfig, items: int, seed: int = 0, memory: Memory | None = None
) -> Bundle:
    """Export a drawn model, unless it lies there from before."""
    if not (directory / bundle.MANIFEST).exists():
        directory.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(seed)
        log, table = histories(items, lengths(_USERS)), drawn.semantic_ids(items)
        model = drawn.sequence_model(config, table, log)
        model.seen[:items] = 1
        for tower in model.each():
            tower.fold_words()
        uses = log.uses(items).tolist()
        catalogue = tuple(
            CatalogueItem(f"item-{n}", popularity=count) for n, count in enumerate(uses)
        )
        fields = {"name": "drawn", "split": {}, "metrics": {}, "health": {}}
        held_out, index_from = targets(log, Part.TEST), ExportConfig().index_from
        export_bundle(directory, model, table, catalogue, held_out, fields, index_from, memory)
    return bundle.read(directory)
