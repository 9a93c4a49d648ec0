"""A small real bundle: random weights, really exported."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.contract.bundle import CatalogueItem
from models.contract.config import CodeSpace, SequenceConfig
from models.contract.memory import Memory
from models.contract.ragged import before_each
from models.contract.semantic_id import SemanticIdTable
from models.contract.types import BEHAVIOUR, TEXT
from models.nets.sequence import SequenceModel
from models.nets.tower import AttentionTower
from training.data.histories import EvaluationSet, Histories, Part, targets
from training.export import export
from training.export.export import export_bundle
from training.export.model_card import Parity

ITEMS, MAX_HISTORY = 60, 12
PICTURES = {
    9: "pictures/nine.png", 10: "../secret.png", 11: "link.png", 12: "drawing.svg",
    13: "https://shop.example/13.png", 14: "large.png", 15: "missing.png", 16: ".",
}  # fmt: skip
SPACE = CodeSpace(modalities=(TEXT, BEHAVIOUR), levels=2, codebook_size=16, vector_size=8)


def attributes_of(n: int) -> dict[str, Any]:
    """Of item n."""
    if n == 0:
        return {}
    kind = "shoe" if n % 2 else "hat"
    return {"kind": [kind, "red"] if n % 3 == 0 else kind, "price": n}


def memory_of(random: np.random.Generator) -> Memory:
    """Every item but the last leads to four others."""
    items_J = np.concatenate([random.choice(ITEMS, 4, replace=False) for _ in range(ITEMS - 1)])
    offsets = np.minimum(4 * np.arange(ITEMS + 1), len(items_J))
    scores_J = random.random(len(items_J)).astype(np.float32)
    alike_J = random.integers(0, 2, len(items_J), dtype=np.uint8)
    return Memory(offsets, items_J.astype(np.int32), 9 * scores_J, alike_J, decay=0.6, weight=9.0)


def write_tiny_bundle(
    directory: Path, *, seed: int = 0, indexed: bool = False, remembers: bool = False
) -> Parity:
    """Item n is ``item-n``, used n times, at a price of n; item 7's text is missing.

    Odd ones are shoes, the others hats, every third of any is red; item 0 has no attributes.

    Item 5 was never trained and has no words, nor has what is outside the catalogue.
    ``indexed``: with an index, which so small a catalogue would not get. ``remembers``: with a
    memory.
    """
    torch.manual_seed(seed)
    random = np.random.default_rng(0)
    codes_NS = random.integers(0, 16, (ITEMS, SPACE.slots)).astype(np.uint16)
    codes_NS[7, : SPACE.levels] = SPACE.null_code
    table = SemanticIdTable(SPACE, codes_NS, np.arange(ITEMS).astype(np.uint16))
    config = SequenceConfig(
        code_space=SPACE,
        catalogue_size=ITEMS,
        max_history=MAX_HISTORY,
        width=16,
        blocks=2,
        heads=2,
        buckets=8,
        towers=(("words", "id"), ("words", "codes", "id"), ("behaviour",)),
    )
    model = SequenceModel(config)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    model.seen[:ITEMS] = 1
    model.seen[5] = 0
    for tower in model.each():
        if isinstance(tower, AttentionTower):
            tower.get_parameter("sources.words.vectors.weight").data[[5, ITEMS]] = 0
    model.buckets.set_codebook(torch.randn(1, 2, 16, 8))
    model.buckets.set_edges(
        torch.from_numpy(codes_NS.astype(np.int64))[None], torch.tensor([ITEMS])
    )
    catalogue = tuple(
        CatalogueItem(
            item_id=f"item-{n}",
            title=f"Title {n}" if n else None,
            popularity=n,
            attributes=json.dumps(attributes_of(n)) if n else None,
            picture=PICTURES.get(n),
        )
        for n in range(ITEMS)
    )
    fields = {"name": "tiny", "split": {"kind": "none"}, "metrics": {"ndcg@10": 0.1}, "health": {}}
    index_from = 0 if indexed else ITEMS
    held_out = _held_out(random)
    memory = memory_of(random) if remembers else None
    return export_bundle(directory, model, table, catalogue, held_out, fields, index_from, memory)


def export_no_graph(patch: pytest.MonkeyPatch, graph: Path) -> None:
    """Tracing takes nearly all of an export's time: copy this graph instead of it.

    All else is done, and that it answers as the model does is still checked.
    """
    patch.setattr(export, "write_onnx", lambda encoder, path: shutil.copy(graph, path))


def _held_out(random: np.random.Generator) -> EvaluationSet:
    lengths = random.integers(3, 20, 40)
    offsets = before_each(lengths)
    items = random.integers(0, ITEMS, offsets[-1]).astype(np.int32)
    parts = np.concatenate([[0] * (n - 2) + [1, 2] for n in lengths]).astype(np.uint8)
    return targets(Histories(offsets, items, parts), Part.TEST)
