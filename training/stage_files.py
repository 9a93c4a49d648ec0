"""What stages leave in their folders for those after them: names, and how to read them."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.numpy import load_file, save_file

from models.contract.config import CodeSpace
from models.contract.memory import Memory
from models.contract.semantic_id import SemanticIdTable
from training.config import RunConfig
from training.data.dataset import PreparedDataset
from training.data.histories import Histories, Part
from training.data.new_items import NewItems
from training.errors import UserError

SPACE, QUANTIZER, SEMANTIC_IDS, CODEWORDS = (
    "code_space.json",
    "quantizer.safetensors",
    "semantic_ids.safetensors",
    "codewords.safetensors",
)
HEALTH, FITTED, WEIGHTS, WORD_VECTORS, MEMORY, EVALUATION, EXPORTED = (
    "health.json",
    "fitted.json",
    "weights.safetensors",
    "word_vectors.safetensors",
    "memory.safetensors",
    "evaluation.json",
    "exported.json",
)


def data(config: RunConfig) -> PreparedDataset:
    """The prepared data set."""
    return PreparedDataset.load(config.output / "prepare")


def last_learned(config: RunConfig) -> Part:
    """The last part that what goes live has learned."""
    if not config.fit.refit:
        return Part.TRAIN
    return Part.TEST if config.fit.learn_test else Part.VALIDATION


def learned(config: RunConfig) -> Histories:
    """The histories that what goes live has learned; without refit not those of new items."""
    histories = data(config).histories if config.fit.refit else new_items(config).known
    return histories.up_to(last_learned(config))


def new_items(config: RunConfig) -> NewItems:
    """The histories, with and without items that are treated as new.

    Raises UserError where so many are drawn that nobody is left to evaluate on.
    """
    prepared = data(config)
    histories, size = prepared.histories, prepared.card.items
    if config.split.kind == "temporal":
        return NewItems.as_they_came(histories, size)
    share = config.evaluate.cold_share if config.items else 0.0  # nothing tells what is new
    drawn = NewItems.drawn(histories, size, share, config.seed)
    for part in (Part.VALIDATION, Part.TEST):
        if share and not len(drawn.warm(part, filter_seen=config.filter_seen).held_out.user):
            raise UserError(
                f"evaluate.cold_share = {share:g} leaves no user to hold an item out of for "
                f"{part.name.lower()}: the data set is too small to draw new items, set it to 0"
            )
    return drawn


def semantic_ids(directory: Path) -> tuple[SemanticIdTable, torch.Tensor]:
    """The table, and the codewords (M, L, K, Q) that its codes stand for; M is 1 if shared."""
    space = CodeSpace.model_validate_json((directory / SPACE).read_text(encoding="utf-8"))
    table = SemanticIdTable.from_arrays(load_file(directory / SEMANTIC_IDS), space)
    return table, torch.from_numpy(load_file(directory / CODEWORDS)["codewords"])


def memory(directory: Path) -> Memory | None:
    """The memory that ``fit`` or ``refit`` left; None where validation found it worth nothing."""
    path = directory / MEMORY
    return Memory.from_arrays(load_file(path)) if path.exists() else None


def write_memory(directory: Path, memory: Memory | None) -> None:
    """Write what ``memory`` reads back; None: remove what an earlier training left."""
    (directory / MEMORY).unlink(missing_ok=True)
    if memory is not None:
        save_file(memory.arrays(), directory / MEMORY)


def write_json(path: Path, content: object) -> None:
    """Write one small JSON file."""
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read one small JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))
