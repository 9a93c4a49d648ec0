"""THE contract between training and service: a directory that holds everything about one model.

Files (``FILES`` below): the ONNX graph, perhaps its INT8 variant, the torch weights for the
fallback, the semantic ID table, the item vectors, the catalogue, the model card, and
``manifest.json``, which names the schema version, the architecture, the ONNX tensors, the metrics
and the SHA-256 of every other file.

Training writes the manifest last, so a half-written bundle is never read. The service reads it
first, and refuses a newer schema or a file whose hash differs. The manifest's own SHA-256 is the
bundle's *digest*: it names the model everywhere (``model_version``, Redis keys).
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import save_file

from models.contract.config import Frozen, SequenceConfig
from models.contract.mapped import load_mapped
from models.contract.semantic_id import SemanticIdTable
from models.contract.types import FloatArray

SCHEMA_VERSION = 2
MANIFEST = "manifest.json"


class FILES:
    """Every file of a bundle besides the manifest."""

    ONNX = "model.onnx"
    WEIGHTS = "weights.safetensors"
    SEMANTIC_IDS = "semantic_ids.safetensors"
    ITEM_VECTORS = "item_vectors.safetensors"
    CATALOGUE = "catalogue.jsonl"
    MODEL_CARD = "model_card.md"

    ALL = (ONNX, WEIGHTS, SEMANTIC_IDS, ITEM_VECTORS, CATALOGUE, MODEL_CARD)
    ONNX_INT8 = "model.int8.onnx"
    OPTIONAL = (ONNX_INT8,)  # INT8 only where it costs next to no accuracy


class TensorSpec(Frozen):
    """One tensor at the ONNX graph's border; a string in ``shape`` is a dynamic axis."""

    name: str
    dtype: Literal["uint16", "int32", "int64", "float32"]
    shape: tuple[int | str, ...]


def onnx_inputs(slots: int) -> tuple[TensorSpec, ...]:
    """The graph's inputs: codes_BTS, item_index_BT and length_B, padded on the right.

    Padding may hold any valid values: attention is causal, so nothing before it sees it.
    """
    return (
        TensorSpec(name="codes", dtype="uint16", shape=("batch", "length", slots)),
        TensorSpec(name="item_index", dtype="int64", shape=("batch", "length")),
        TensorSpec(name="history_length", dtype="int64", shape=("batch",)),
    )


def onnx_outputs(width: int) -> tuple[TensorSpec, ...]:
    """The graph's output, one vector a history: its inner product with an item's is a score."""
    return (TensorSpec(name="user_vector", dtype="float32", shape=("batch", width)),)


class FileEntry(Frozen):
    """Size and hash of one file."""

    sha256: str
    bytes: int


class Manifest(Frozen):
    """What ``manifest.json`` holds."""

    schema_version: int
    name: str
    created_at: str = Field(description="UTC, ISO 8601")
    architecture: SequenceConfig
    onnx_inputs: tuple[TensorSpec, ...]
    onnx_outputs: tuple[TensorSpec, ...]
    split: dict[str, Any] = Field(description="how interactions were split, as `prepare` wrote it")
    metrics: dict[str, float] = Field(description="test metrics of the strict model, `ndcg@10`...")
    health: dict[str, float] = Field(description="health of the codes: use, collisions, perplexity")
    files: dict[str, FileEntry]


class CatalogueItem(Frozen):
    """One line of the catalogue; its line number is the item_index."""

    item_id: str
    title: str | None = None
    popularity: int = Field(0, ge=0, description="interactions in the training data")


class BundleError(Exception):
    """A bundle that must not be served: missing, newer, incomplete or tampered with."""


@dataclass(frozen=True)
class Bundle:
    """One verified bundle. Tables are mapped: several workers share their pages. Weights and graph
    are read where they are needed.
    """

    directory: Path
    digest: str
    manifest: Manifest
    catalogue: tuple[CatalogueItem, ...]
    semantic_ids: SemanticIdTable
    item_vectors_ND: FloatArray

    @property
    def onnx_path(self) -> Path:
        """The ONNX graph."""
        return self.directory / FILES.ONNX

    @property
    def int8_path(self) -> Path | None:
        """The ONNX graph with INT8 weights, if the bundle has one."""
        return self.directory / FILES.ONNX_INT8 if FILES.ONNX_INT8 in self.manifest.files else None

    @property
    def weights_path(self) -> Path:
        """The torch weights of the same model, for the fallback."""
        return self.directory / FILES.WEIGHTS


def write_tables(
    directory: Path,
    catalogue: Sequence[CatalogueItem],
    semantic_ids: SemanticIdTable,
    item_vectors_ND: FloatArray,
) -> None:
    """Write the catalogue, the semantic IDs and the item vectors."""
    with (directory / FILES.CATALOGUE).open("w", encoding="utf-8") as lines:
        for item in catalogue:
            lines.write(item.model_dump_json() + "\n")
    with _anew(directory / FILES.SEMANTIC_IDS) as partial:
        save_file(semantic_ids.arrays(), partial)
    with _anew(directory / FILES.ITEM_VECTORS) as partial:
        save_file({"item_vectors": item_vectors_ND}, partial)


@contextmanager
def _anew(path: Path) -> Iterator[Path]:
    """Where to write a file that takes the place of ``path`` once it is whole.

    Another file, not the old one changed: a service may have that mapped.
    """
    partial = path.with_name(path.name + ".partial")
    yield partial
    partial.replace(path)


def write_manifest(directory: Path, fields: Mapping[str, Any]) -> Manifest:
    """Hash every file and write the manifest, last. ``fields``: a Manifest without its files."""
    files = {
        name: FileEntry(sha256=sha256(path), bytes=path.stat().st_size)
        for name in (*FILES.ALL, *FILES.OPTIONAL)
        for path in [directory / name]
        if name in FILES.ALL or path.exists()
    }
    manifest = Manifest(schema_version=SCHEMA_VERSION, files=files, **fields)
    with _anew(directory / MANIFEST) as partial:
        partial.write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return manifest


def read(directory: Path) -> Bundle:
    """Read and verify a bundle.

    Raises BundleError, naming the file, when anything is missing, newer than this code,
    malformed, or not what the manifest's hashes say.
    """
    manifest, digest = _read_manifest(directory)
    for name in (*FILES.ALL, *FILES.OPTIONAL):
        if name in FILES.ALL or name in manifest.files:
            _verify(directory / name, manifest.files.get(name))
    try:
        bundle = _assemble(directory, manifest, digest)
    except (ValueError, KeyError, SafetensorError) as error:
        raise BundleError(f"{directory} holds tables that cannot be used: {error}") from error
    _check_sizes(bundle)
    return bundle


def _assemble(directory: Path, manifest: Manifest, digest: str) -> Bundle:
    space = manifest.architecture.code_space
    arrays = load_mapped(directory / FILES.SEMANTIC_IDS)
    return Bundle(
        directory=directory,
        digest=digest,
        manifest=manifest,
        catalogue=tuple(_read_catalogue(directory / FILES.CATALOGUE)),
        semantic_ids=SemanticIdTable.from_arrays(arrays, space),
        item_vectors_ND=load_mapped(directory / FILES.ITEM_VECTORS)["item_vectors"],
    )


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_manifest(directory: Path) -> tuple[Manifest, str]:
    path = directory / MANIFEST
    try:
        content = path.read_bytes()
        version = json.loads(content).get("schema_version")
    except FileNotFoundError:
        raise BundleError(f"{directory} is no bundle: it has no {MANIFEST}") from None
    except (OSError, ValueError, AttributeError) as error:
        raise BundleError(f"{path} cannot be read: {error}") from error
    if version != SCHEMA_VERSION:
        raise BundleError(
            f"{path} has schema version {version}, this release reads {SCHEMA_VERSION}: "
            "export the bundle again, or upgrade bbqrec"
        )
    try:
        return Manifest.model_validate_json(content), hashlib.sha256(content).hexdigest()
    except ValidationError as error:
        raise BundleError(f"{path} is malformed: {error}") from error


def _verify(path: Path, entry: FileEntry | None) -> None:
    if entry is None:
        raise BundleError(f"{path.parent / MANIFEST} does not list {path.name}")
    if not path.is_file():
        raise BundleError(f"{path} is missing")
    if path.stat().st_size != entry.bytes or sha256(path) != entry.sha256:
        raise BundleError(f"{path} is not the file that was exported: its SHA-256 differs")


def _read_catalogue(path: Path) -> Iterator[CatalogueItem]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield CatalogueItem.model_validate_json(line)


def _check_sizes(bundle: Bundle) -> None:
    size = bundle.manifest.architecture.catalogue_size
    rows: dict[str, NDArray[Any] | Sequence[Any]] = {
        FILES.CATALOGUE: bundle.catalogue,
        FILES.SEMANTIC_IDS: bundle.semantic_ids.codes_NS,
        FILES.ITEM_VECTORS: bundle.item_vectors_ND,
    }
    for name, table in rows.items():
        if len(table) != size:
            raise BundleError(f"{name} has {len(table)} rows, the manifest says {size} items")
    if len({item.item_id for item in bundle.catalogue}) != size:
        raise BundleError(f"{FILES.CATALOGUE} names an item twice")
    if bundle.item_vectors_ND.shape != (size, bundle.manifest.architecture.vector_size):
        raise BundleError(f"{FILES.ITEM_VECTORS} has shape {bundle.item_vectors_ND.shape}")
    if not np.isfinite(bundle.item_vectors_ND).all():
        raise BundleError(f"{FILES.ITEM_VECTORS} holds numbers that are not finite")
