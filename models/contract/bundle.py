"""THE contract between training and service: a directory that holds everything about one model.

Files (``FILES`` in manifest.py): the ONNX graph, perhaps its INT8 variant, the same weights for the
torch fallback, the semantic ID table, the item vectors, the catalogue and its id map, the columns
of its attributes, the index of a large catalogue, the model card, the report of the run, and
``manifest.json``, which names the schema version, the architecture, the ONNX tensors, the metrics
and the SHA-256 of every other file.

Training writes the manifest last, so a half-written bundle is never read. The service reads it
first, and refuses another schema or a file whose hash differs. The manifest's own SHA-256 is the
bundle's *digest*: it names the model everywhere (``model_version``, Redis keys). A bundle is never
changed once it has one; ``store.py`` keeps several beside each other.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import save_file

from models.contract.attributes import Attributes, write_attributes
from models.contract.catalogue import Catalogue, CatalogueItem, write_catalogue
from models.contract.item_vectors import ItemVectors
from models.contract.manifest import (
    FILES,
    MANIFEST,
    SCHEMA_VERSION,
    BundleError,
    FileEntry,
    Manifest,
    check_sizes,
    read_manifest,
    sha256,
    verify,
)
from models.contract.mapped import load_mapped
from models.contract.memory import Memory
from models.contract.semantic_id import SemanticIdTable
from models.contract.types import FloatArray


@dataclass(frozen=True)
class Bundle:
    """One bundle. Tables are mapped: workers share their pages. Weights, graph and index are read
    where they are needed.
    """

    directory: Path
    digest: str
    manifest: Manifest
    catalogue: Catalogue
    semantic_ids: SemanticIdTable
    vectors: ItemVectors
    attributes: Attributes  # none where no item has one, or the bundle was made before they were
    memory: Memory | None = None  # none where it is worth nothing beside the model

    @property
    def item_vectors_ND(self) -> FloatArray:
        """What user vectors are compared with."""
        return self.vectors.scored_ND

    @property
    def onnx_path(self) -> Path:
        """The ONNX graph."""
        return self.directory / FILES.ONNX

    @property
    def int8_path(self) -> Path | None:
        """The ONNX graph with INT8 weights, if the bundle has one."""
        return self._optional(FILES.ONNX_INT8)

    @property
    def index_path(self) -> Path | None:
        """The index of a large catalogue, if the bundle has one."""
        return self._optional(FILES.INDEX)

    @property
    def intake_path(self) -> Path | None:
        """What tells how new items are taken in, if the bundle can."""
        return self._optional(FILES.INTAKE)

    @property
    def map_path(self) -> Path | None:
        """The map of the catalogue, if the bundle has one."""
        return self._optional(FILES.MAP)

    @property
    def samples_path(self) -> Path | None:
        """Some users of the test part, if the bundle has any."""
        return self._optional(FILES.SAMPLES)

    @property
    def weights_path(self) -> Path:
        """The torch weights of the same graph, for the fallback."""
        return self.directory / FILES.WEIGHTS

    def verify(self, names: Collection[str]) -> None:
        """Raises BundleError, naming the file, where one of these is not what was exported."""
        for name in names:
            if name in FILES.ALL or self.manifest.has(name):
                verify(self.directory, name, self.manifest)
        self.check(names)

    def check(self, names: Collection[str]) -> None:
        """Raises BundleError for tables that cannot be, of those named."""
        if FILES.ITEM_VECTORS in names and not self.vectors.finite():
            raise BundleError(f"{FILES.ITEM_VECTORS} holds numbers that are not finite")
        with _said(self.directory):
            if FILES.CATALOGUE in names:
                self.catalogue.check()
            if FILES.ATTRIBUTES in names:
                self.attributes.check(len(self.catalogue))
            if FILES.MEMORY in names and self.memory is not None:
                self.memory.check()

    def _optional(self, name: str) -> Path | None:
        return self.directory / name if self.manifest.has(name) else None


def write_tables(
    directory: Path,
    catalogue: Sequence[CatalogueItem],
    semantic_ids: SemanticIdTable,
    vectors: ItemVectors,
    memory: Memory | None = None,
) -> None:
    """Write the catalogue, its attributes' columns, semantic IDs, item vectors and the memory.

    Raises ValueError.
    """
    semantic_ids.check()
    if not vectors.finite():
        raise ValueError("item vectors hold numbers that are not finite")
    write_catalogue(directory / FILES.CATALOGUE, directory / FILES.ITEM_IDS, catalogue)
    write_attributes(directory / FILES.ATTRIBUTES, (item.attributes for item in catalogue))
    save_file(semantic_ids.arrays(), directory / FILES.SEMANTIC_IDS)
    save_file(vectors.arrays(), directory / FILES.ITEM_VECTORS)
    if memory is not None:
        save_file(memory.check().arrays(), directory / FILES.MEMORY)


def write_manifest(directory: Path, fields: Mapping[str, Any]) -> Manifest:
    """Hash every file and write the manifest, last. ``fields``: a Manifest without its files."""
    files = {
        name: FileEntry(sha256=sha256(path), bytes=path.stat().st_size)
        for name in (*FILES.ALL, *FILES.OPTIONAL)
        for path in [directory / name]
        if name in FILES.ALL or path.exists()
    }
    manifest = Manifest(schema_version=SCHEMA_VERSION, files=files, **fields)
    content = manifest.model_dump_json(indent=2) + "\n"
    (directory / MANIFEST).write_text(content, encoding="utf-8")
    return manifest


def read(directory: Path, later: Collection[str] = ()) -> Bundle:
    """Verify the files of a bundle, and map its tables.

    later: files, of ``FILES.MAPPED``, that the caller verifies when it is open.
    Raises BundleError, naming the file, when anything is missing, of another schema, malformed, or
    not what the manifest's hashes say.
    """
    manifest, digest = read_manifest(directory)
    check_sizes(directory, manifest)
    for name in manifest.files:
        if name not in later:
            verify(directory, name, manifest)
    bundle = _mapped(directory, manifest, digest)
    _check_rows(bundle)
    bundle.check(set(FILES.MAPPED).difference(later))
    return bundle


def _mapped(directory: Path, manifest: Manifest, digest: str) -> Bundle:
    with _said(directory):
        architecture = manifest.architecture
        codes = load_mapped(directory / FILES.SEMANTIC_IDS)
        vectors = load_mapped(directory / FILES.ITEM_VECTORS)
        there = manifest.has(FILES.ATTRIBUTES)
        attributes = Attributes.load(directory / FILES.ATTRIBUTES) if there else Attributes()
        remembers = manifest.has(FILES.MEMORY)
        lists = load_mapped(directory / FILES.MEMORY) if remembers else None
        return Bundle(
            directory=directory,
            digest=digest,
            manifest=manifest,
            catalogue=Catalogue.load(directory / FILES.CATALOGUE, directory / FILES.ITEM_IDS),
            semantic_ids=SemanticIdTable.from_arrays(codes, architecture.code_space),
            vectors=ItemVectors.of(vectors, architecture),
            attributes=attributes,
            memory=Memory.from_arrays(lists) if lists is not None else None,
        )


@contextmanager
def _said(directory: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, OSError, RuntimeError, SafetensorError) as error:
        raise BundleError(f"{directory} holds tables that cannot be used: {error}") from error


def _check_rows(bundle: Bundle) -> None:
    size = bundle.manifest.architecture.catalogue_size
    rows = {
        FILES.CATALOGUE: len(bundle.catalogue),
        FILES.ITEM_IDS: len(bundle.catalogue.rows),
        FILES.SEMANTIC_IDS: len(bundle.semantic_ids.codes_NS),
    }
    if bundle.memory is not None:
        rows[FILES.MEMORY] = len(bundle.memory)
    for name, found in rows.items():
        if found != size:
            raise BundleError(f"{name} has {found} rows, the manifest says {size} items")


__all__ = ["FILES", "MANIFEST", "Bundle", "BundleError", "CatalogueItem", "Manifest"]
