from pathlib import Path

import numpy as np
import pytest

from models.contract import bundle
from models.contract.bundle import FILES, CatalogueItem
from models.contract.config import CodeSpace, SequenceConfig
from models.contract.item_vectors import ItemVectors
from models.contract.manifest import onnx_inputs, onnx_outputs
from models.contract.semantic_id import SemanticIdTable
from models.contract.types import TEXT

ITEMS = 5


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A bundle that is whole as far as the contract goes; its graph and weights are dummies."""
    space = CodeSpace(modalities=(TEXT,), levels=2, codebook_size=8, vector_size=4)
    table = SemanticIdTable(
        space,
        np.arange(2 * ITEMS, dtype=np.uint16).reshape(ITEMS, 2) % 8,
        np.arange(ITEMS, dtype=np.uint16),
    )
    catalogue = [
        CatalogueItem(f"item {n}", f"Ünïcode {n}", attributes=f'{{"size": {n}}}')
        for n in range(ITEMS)
    ]
    vectors = ItemVectors(
        scored_ND=np.ones((ITEMS, 4), np.float32),
        read_NW=np.empty((ITEMS, 0), np.float32),
        code_SKD=np.ones((2, 9, 4), np.float32),
        columns=(),
    )
    bundle.write_tables(tmp_path, catalogue, table, vectors)
    for name in (FILES.ONNX, FILES.WEIGHTS, FILES.MODEL_CARD):
        (tmp_path / name).write_bytes(b"stands for the real one")
    config = SequenceConfig(
        code_space=space, catalogue_size=ITEMS, max_history=3, width=4, towers=(("codes", "id"),)
    )
    bundle.write_manifest(
        tmp_path,
        {
            "name": "test",
            "created_at": "2026-01-01T00:00:00+00:00",
            "architecture": config,
            "onnx_inputs": onnx_inputs(config),
            "onnx_outputs": onnx_outputs(config),
            "split": {"kind": "leave_one_out"},
            "metrics": {"ndcg@10": 0.5},
            "health": {},
        },
    )
    return tmp_path
