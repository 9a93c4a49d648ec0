import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from models.contract import bundle
from models.contract.bundle import FILES, BundleError, CatalogueItem
from models.contract.config import CodeSpace, SequenceConfig
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
    catalogue = [CatalogueItem(item_id=f"item {n}", title=f"Ünïcode {n}") for n in range(ITEMS)]
    bundle.write_tables(tmp_path, catalogue, table, np.ones((ITEMS, 4), np.float32))
    for name in (FILES.ONNX, FILES.WEIGHTS, FILES.MODEL_CARD):
        (tmp_path / name).write_bytes(b"stands for the real one")
    bundle.write_manifest(
        tmp_path,
        {
            "name": "test",
            "created_at": "2026-01-01T00:00:00+00:00",
            "architecture": SequenceConfig(
                code_space=space,
                catalogue_size=ITEMS,
                max_history=3,
                width=4,
                towers=(("codes", "id"),),
            ),
            "onnx_inputs": bundle.onnx_inputs(2),
            "onnx_outputs": bundle.onnx_outputs(4),
            "split": {"kind": "leave_one_out"},
            "metrics": {"ndcg@10": 0.5},
            "health": {},
        },
    )
    return tmp_path


def edit_manifest(directory: Path, **fields: object) -> None:
    path = directory / bundle.MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_what_is_written_is_read_back(directory: Path) -> None:
    found = bundle.read(directory)
    assert [item.item_id for item in found.catalogue] == [f"item {n}" for n in range(ITEMS)]
    assert found.catalogue[1].title == "Ünïcode 1"
    assert found.semantic_ids.codes_NS.tolist()[1] == [2, 3]
    assert found.manifest.metrics == {"ndcg@10": 0.5}
    assert found.digest == bundle.sha256(directory / bundle.MANIFEST)


@pytest.mark.parametrize("name", FILES.ALL)
def test_a_tampered_file_is_refused_by_name(directory: Path, name: str) -> None:
    content = bytearray((directory / name).read_bytes())
    content[-1] ^= 1
    (directory / name).write_bytes(content)
    with pytest.raises(BundleError, match=f"{name}.*SHA-256"):
        bundle.read(directory)


@pytest.mark.parametrize("name", FILES.ALL)
def test_a_missing_file_is_refused_by_name(directory: Path, name: str) -> None:
    (directory / name).unlink()
    with pytest.raises(BundleError, match=f"{name} is missing"):
        bundle.read(directory)


def test_a_newer_schema_is_refused(directory: Path) -> None:
    edit_manifest(directory, schema_version=bundle.SCHEMA_VERSION + 1)
    with pytest.raises(BundleError, match=r"schema version 3, this release reads 2"):
        bundle.read(directory)


def test_an_unknown_manifest_field_is_refused(directory: Path) -> None:
    edit_manifest(directory, surprise=1)
    with pytest.raises(BundleError, match="surprise"):
        bundle.read(directory)


@pytest.mark.parametrize("content", ["", "{", "[]", "null"])
def test_a_broken_manifest_is_refused(directory: Path, content: str) -> None:
    (directory / bundle.MANIFEST).write_text(content)
    with pytest.raises(BundleError):
        bundle.read(directory)


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no bundle"):
        bundle.read(tmp_path)


def test_a_manifest_that_leaves_a_file_out_is_refused(directory: Path) -> None:
    manifest = json.loads((directory / bundle.MANIFEST).read_text())
    del manifest["files"][FILES.ONNX]
    edit_manifest(directory, files=manifest["files"])
    with pytest.raises(BundleError, match=f"does not list {FILES.ONNX}"):
        bundle.read(directory)


def rewrite(directory: Path, name: str, content: bytes) -> None:
    """Replace a file and make the manifest agree: a bundle that was exported wrongly."""
    (directory / name).write_bytes(content)
    manifest = json.loads((directory / bundle.MANIFEST).read_text())
    manifest["files"][name] = {"sha256": bundle.sha256(directory / name), "bytes": len(content)}
    edit_manifest(directory, files=manifest["files"])


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        (FILES.CATALOGUE, b'{"item_id": "same"}\n' * ITEMS, "twice"),
        (FILES.CATALOGUE, b'{"item": 1}\n' * ITEMS, "cannot be used"),
        (FILES.CATALOGUE, b'{"item_id": "a"}\n', "1 rows"),
        (FILES.SEMANTIC_IDS, b"rubbish", "cannot be used"),
        (FILES.ITEM_VECTORS, save({"other": np.ones((ITEMS, 4), np.float32)}), "cannot be used"),
        (FILES.ITEM_VECTORS, save({"item_vectors": np.ones((ITEMS, 3), np.float32)}), "shape"),
        (
            FILES.ITEM_VECTORS,
            save({"item_vectors": np.full((ITEMS, 4), np.nan, np.float32)}),
            "not finite",
        ),
        (
            FILES.SEMANTIC_IDS,
            save({"codes": np.zeros((ITEMS, 2), np.uint16), "extra": np.zeros(ITEMS, np.uint16)}),
            "not unique",
        ),
    ],
)
def test_a_bundle_that_was_exported_wrongly_is_refused(
    directory: Path, name: str, content: bytes, complaint: str
) -> None:
    rewrite(directory, name, content)
    with pytest.raises(BundleError, match=complaint):
        bundle.read(directory)
