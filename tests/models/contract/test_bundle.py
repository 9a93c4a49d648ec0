import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from models.contract import bundle
from models.contract.bundle import FILES, BundleError, CatalogueItem
from models.contract.catalogue import write_catalogue
from models.contract.item_vectors import ItemVectors
from models.contract.manifest import SCHEMA_VERSION, sha256
from models.contract.memory import Memory

ITEMS = 5


def edit_manifest(directory: Path, **fields: object) -> None:
    path = directory / bundle.MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_what_is_written_is_read_back(directory: Path) -> None:
    found = bundle.read(directory)
    assert [item.item_id for item in found.catalogue] == [f"item {n}" for n in range(ITEMS)]
    assert found.catalogue[1].title == "Ünïcode 1"
    assert found.semantic_ids.codes_NS.tolist()[1] == [2, 3]
    assert found.manifest.metrics == {"ndcg@10": 0.5}
    assert found.attributes["size"].with_number(3.0).tolist() == [3]
    assert found.digest == sha256(directory / bundle.MANIFEST)


def test_one_that_has_no_columns_of_attributes_is_read_too(directory: Path) -> None:
    """No item has any, or it was made before there were such columns."""
    (directory / FILES.ATTRIBUTES).unlink()
    files = json.loads((directory / bundle.MANIFEST).read_text())["files"]
    del files[FILES.ATTRIBUTES]
    edit_manifest(directory, files=files)
    found = bundle.read(directory, later=FILES.MAPPED)
    found.verify(FILES.MAPPED)
    assert found.attributes == {}


def test_a_report_is_part_of_its_bundle(directory: Path) -> None:
    """Those made before there were reports have none, as in every other test here."""
    page = directory / FILES.REPORT
    page.write_text("<!doctype html>")
    files = json.loads((directory / bundle.MANIFEST).read_text())["files"]
    entry = {"sha256": sha256(page), "bytes": page.stat().st_size}
    edit_manifest(directory, files=files | {FILES.REPORT: entry})
    assert bundle.read(directory).manifest.has(FILES.REPORT)
    page.write_text("<!doctype HTML>")
    with pytest.raises(BundleError, match=rf"{FILES.REPORT}.*SHA-256"):
        bundle.read(directory)


@pytest.mark.parametrize("name", [*FILES.ALL, FILES.ATTRIBUTES])
def test_a_tampered_file_is_refused_by_name(directory: Path, name: str) -> None:
    content = bytearray((directory / name).read_bytes())
    content[-1] ^= 1
    (directory / name).write_bytes(content)
    with pytest.raises(BundleError, match=f"{name}.*SHA-256"):
        bundle.read(directory)


@pytest.mark.parametrize("name", [*FILES.ALL, FILES.ATTRIBUTES])
def test_a_missing_file_is_refused_by_name(directory: Path, name: str) -> None:
    (directory / name).unlink()
    with pytest.raises(BundleError, match=f"{name} is missing"):
        bundle.read(directory)


def test_a_newer_schema_is_refused(directory: Path) -> None:
    edit_manifest(directory, schema_version=SCHEMA_VERSION + 1)
    with pytest.raises(BundleError, match=r"schema version 5, this release reads 4"):
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
    manifest["files"][name] = {"sha256": sha256(directory / name), "bytes": len(content)}
    edit_manifest(directory, files=manifest["files"])


def vectors_of(size: int, value: float = 1.0, width: int = 4) -> dict[str, np.ndarray[Any, Any]]:
    return {
        "scored": np.full((size, width), value, np.float32),
        "read": np.empty((size, 0), np.float32),
        "code": np.ones((2, 9, width), np.float32),
    }


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        (FILES.CATALOGUE, b"rubbish", "cannot be used"),
        (FILES.CATALOGUE, save({"other": np.ones(ITEMS, np.int64)}), "cannot be used"),
        (FILES.ITEM_IDS, b"rubbish", "cannot be used"),
        (FILES.SEMANTIC_IDS, b"rubbish", "cannot be used"),
        (
            FILES.SEMANTIC_IDS,
            save({"codes": np.zeros((4, 2), np.uint16), "extra": np.zeros(4, np.uint16)}),
            "4 rows",
        ),
        (
            FILES.SEMANTIC_IDS,
            save({"codes": np.full((5, 2), 9, np.uint16), "extra": np.zeros(5, np.uint16)}),
            "a code is above 8",
        ),
        (FILES.ITEM_VECTORS, save({"other": np.ones((ITEMS, 4), np.float32)}), "cannot be used"),
        (FILES.ITEM_VECTORS, save(vectors_of(ITEMS, width=3)), "shape"),
        (FILES.ITEM_VECTORS, save(vectors_of(ITEMS - 1)), "shape"),
        (FILES.ITEM_VECTORS, save(vectors_of(ITEMS, np.nan)), "not finite"),
        (FILES.ITEM_VECTORS, save(vectors_of(ITEMS, np.inf)), "not finite"),
    ],
)
def test_a_bundle_that_was_exported_wrongly_is_refused(
    directory: Path, name: str, content: bytes, complaint: str
) -> None:
    rewrite(directory, name, content)
    with pytest.raises(BundleError, match=complaint):
        bundle.read(directory)


@pytest.mark.parametrize(
    ("name", "array", "change", "complaint"),
    [
        (FILES.CATALOGUE, "row_of_key", lambda rows: rows + 1, "names rows"),
        (FILES.CATALOGUE, "row_of_key", np.zeros_like, "names rows"),
        (FILES.CATALOGUE, "by_popularity", lambda rows: rows - 1, "names rows"),
        (FILES.CATALOGUE, "by_popularity", lambda rows: rows[:3], "names rows"),
        (FILES.CATALOGUE, "by_popularity", lambda rows: rows.astype(np.float64), "names rows"),
        (FILES.CATALOGUE, "title.offsets", lambda starts: starts + 1, "do not fit"),
        (FILES.CATALOGUE, "item_id.offsets", lambda starts: starts[::-1], "do not fit"),
        (FILES.CATALOGUE, "popularity", lambda uses: uses[:3], "do not fit"),
        (FILES.CATALOGUE, "recent", lambda uses: uses * np.nan, "says no number"),
        (FILES.ATTRIBUTES, "0.number_rows", lambda rows: rows + ITEMS, "attribute 'size'"),
        (FILES.ATTRIBUTES, "0.number_rows", lambda rows: rows - ITEMS, "attribute 'size'"),
        (FILES.ATTRIBUTES, "0.numbers", lambda numbers: numbers[:0], "attribute 'size'"),
        (FILES.ATTRIBUTES, "0.starts", lambda starts: starts + 1, "attribute 'size'"),
        (FILES.ATTRIBUTES, "0.starts", lambda starts: starts[:0], "attribute 'size'"),
        (FILES.ATTRIBUTES, "0.terms.offsets", lambda starts: starts - 1, "attribute 'size'"),
    ],
)
def test_tables_that_point_out_of_the_catalogue_are_refused(
    directory: Path, name: str, array: str, change: Callable[[Any], Any], complaint: str
) -> None:
    """They would serve, and answer some requests with an error, others with other items."""
    arrays = load_file(directory / name)
    arrays[array] = np.ascontiguousarray(change(arrays[array]))
    rewrite(directory, name, save(arrays))
    with pytest.raises(BundleError, match=complaint):
        bundle.read(directory)


def memory(followers: list[int], size: int = ITEMS) -> Memory:
    """The first of so many items leads to these."""
    offsets, count = np.full(size + 1, len(followers)), len(followers)
    offsets[0] = 0
    scores_J, alike_J = np.ones(count, np.float32), np.zeros(count, np.uint8)
    return Memory(offsets, np.array(followers, np.int32), scores_J, alike_J, decay=0.5, weight=2.0)


def remember(directory: Path, memory: Memory) -> None:
    rewrite(directory, FILES.MEMORY, save(memory.arrays()))


def test_one_that_remembers_is_read_and_what_names_no_item_is_refused(directory: Path) -> None:
    """At once, or when its tables are verified: a search would look for rows that there are not."""
    remember(directory, memory([1, 4]))
    read = bundle.read(directory).memory
    assert read is not None
    assert read.recall([0]).rows_J.tolist() == [1, 4]
    remember(directory, memory([1, ITEMS]))
    with pytest.raises(BundleError, match="the memory names items that do not exist"):
        bundle.read(directory)
    found = bundle.read(directory, later=FILES.MAPPED)
    with pytest.raises(BundleError, match="the memory names items that do not exist"):
        found.verify(FILES.MAPPED)
    remember(directory, memory([1], ITEMS - 1))
    with pytest.raises(BundleError, match=f"{FILES.MEMORY} has 4 rows"):
        bundle.read(directory)


def test_tables_that_would_be_refused_are_not_written(directory: Path, tmp_path: Path) -> None:
    found = bundle.read(directory)
    items, table, vectors = [*found.catalogue], found.semantic_ids, found.vectors
    lost = ItemVectors.of(vectors_of(ITEMS, np.nan), found.manifest.architecture)
    alike = replace(table, extra_N=np.zeros_like(table.extra_N))
    for codes, numbers, lists, complaint in (
        (table, lost, None, "not finite"),
        (alike, vectors, None, "not unique"),
        (table, vectors, memory([ITEMS]), "names items that do not exist"),
    ):
        with pytest.raises(ValueError, match=complaint):
            bundle.write_tables(tmp_path, items, codes, numbers, lists)


@pytest.mark.parametrize("name", [FILES.ITEM_VECTORS, FILES.ATTRIBUTES])
def test_what_is_mapped_can_be_checked_later(directory: Path, name: str) -> None:
    """A bundle opens without its tables being read; their hashes are looked at when asked."""
    content = bytearray((directory / name).read_bytes())
    content[-1] ^= 1
    (directory / name).write_bytes(content)
    found = bundle.read(directory, later=FILES.MAPPED)
    with pytest.raises(BundleError, match=f"{name}.*SHA-256"):
        found.verify(FILES.MAPPED)


@pytest.mark.parametrize("ids", [["a", "a"], ["a", ""], ["a", "a\0"]])
def test_an_item_without_a_name_or_named_twice_is_not_written(
    tmp_path: Path, ids: list[str]
) -> None:
    items = [CatalogueItem(item_id) for item_id in ids]
    with pytest.raises(ValueError, match="item_id"):
        write_catalogue(tmp_path / "columns", tmp_path / "ids", items)
