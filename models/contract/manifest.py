"""``manifest.json``: what a bundle says of itself, and which files it is made of."""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from models.contract.config import Frozen, Recommend, SequenceConfig

SCHEMA_VERSION = 4
MANIFEST = "manifest.json"


class FILES:
    """Every file of a bundle besides the manifest."""

    ONNX = "model.onnx"
    WEIGHTS = "weights.safetensors"
    SEMANTIC_IDS = "semantic_ids.safetensors"
    ITEM_VECTORS = "item_vectors.safetensors"
    CATALOGUE = "catalogue.safetensors"
    ITEM_IDS = "item_ids.marisa"
    MODEL_CARD = "model_card.md"

    ALL = (ONNX, WEIGHTS, SEMANTIC_IDS, ITEM_VECTORS, CATALOGUE, ITEM_IDS, MODEL_CARD)
    ONNX_INT8 = "model.int8.onnx"
    INDEX = "index.faiss"
    ROTATION = "index.safetensors"
    INTAKE = "intake.json"
    INTAKE_CODES = "intake_codes.onnx"
    INTAKE_ARRAYS = "intake.safetensors"
    INTAKE_WORDS = "intake_words.marisa"
    INTAKE_TOKENIZER = "intake_tokenizer.json"
    INTAKE_LENDERS = "intake_lenders.faiss"
    INTAKE_PICTURES = "intake_pictures.onnx"
    ATTRIBUTES = "attributes.safetensors"
    MEMORY = "memory.safetensors"
    REPORT = "report.html"
    MAP = "map.safetensors"
    SAMPLES = "samples.json"
    # INT8 only where it costs next to no accuracy, an index only where a catalogue is large,
    # attributes only where an item has one, a memory only where it is worth something beside the
    # model, a report of what a run made, of the intake whatever the content has, samples only where
    # they were asked for.
    OPTIONAL = (
        *(ONNX_INT8, INDEX, ROTATION, ATTRIBUTES, MEMORY, REPORT, MAP, SAMPLES),
        *(INTAKE, INTAKE_CODES, INTAKE_ARRAYS, INTAKE_WORDS, INTAKE_TOKENIZER, INTAKE_LENDERS),
        INTAKE_PICTURES,
    )
    # These grow with the catalogue, and are arrays that are mapped: whatever is in them can be
    # looked at unverified. Of the id map that cannot be said: it is small, and always verified.
    MAPPED = (SEMANTIC_IDS, ITEM_VECTORS, CATALOGUE, ATTRIBUTES, MEMORY)


class BundleError(Exception):
    """A bundle that must not be served: missing, newer, incomplete or tampered with."""


class TensorSpec(Frozen):
    """One tensor at the ONNX graph's border; a string in ``shape`` is a dynamic axis."""

    name: str
    dtype: Literal["uint16", "int32", "int64", "float32"]
    shape: tuple[int | str, ...]


def onnx_inputs(config: SequenceConfig) -> tuple[TensorSpec, ...]:
    """The graph's inputs: codes_BTS, items_BTD and length_B, padded on the right.

    Padding may hold any valid values: attention is causal, so nothing before it sees it. No table
    of items is in the graph: what it reads of an item comes from ``ItemVectors.read``.
    """
    slots, width = config.code_space.slots, config.vector_size
    return (
        TensorSpec(name="codes", dtype="uint16", shape=("batch", "length", slots)),
        TensorSpec(name="item_vectors", dtype="float32", shape=("batch", "length", width)),
        TensorSpec(name="history_length", dtype="int64", shape=("batch",)),
    )


def onnx_outputs(config: SequenceConfig) -> tuple[TensorSpec, ...]:
    """The graph's output, one vector a history: its inner product with an item's is a score."""
    shape = ("batch", config.vector_size)
    return (TensorSpec(name="user_vector", dtype="float32", shape=shape),)


class FileEntry(Frozen):
    """Size and hash of one file."""

    sha256: str
    bytes: int


class Recency(Frozen):
    """How popularity fades."""

    half_life: float = Field(gt=0, description="seconds in which a use counts half")
    as_of: float = Field(description="of the last use, seconds since 1970")


class Manifest(Frozen):
    """What ``manifest.json`` holds."""

    schema_version: int
    name: str
    created_at: str = Field(description="UTC, ISO 8601")
    items_as_of: str | None = Field(
        None, description="when the item file was written: what is put later is newer than it"
    )
    recency: Recency | None = Field(None, description="None: uses count alike, however long ago")
    recommend: Recommend = Field("new", description="new: nothing of the history; all: that too")
    architecture: SequenceConfig
    onnx_inputs: tuple[TensorSpec, ...]
    onnx_outputs: tuple[TensorSpec, ...]
    split: dict[str, Any] = Field(description="how interactions were split, as `prepare` wrote it")
    metrics: dict[str, float] = Field(description="test metrics of the strict model, `ndcg@10`...")
    health: dict[str, float] = Field(description="health of the codes: use, collisions, perplexity")
    score_deciles: tuple[float, ...] = Field(
        (), description="the nine deciles of the best item's score, over real histories"
    )
    files: dict[str, FileEntry]

    def has(self, name: str) -> bool:
        """Whether the bundle holds an optional file."""
        return name in self.files


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(directory: Path) -> tuple[Manifest, str]:
    """The manifest and its own SHA-256, the bundle's digest. Raises BundleError."""
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


def verify(directory: Path, name: str, manifest: Manifest) -> None:
    """Raises BundleError where the file is not the one that was exported."""
    path, entry = directory / name, manifest.files.get(name)
    if entry is None:
        raise BundleError(f"{directory / MANIFEST} does not list {name}")
    if not path.is_file():
        raise BundleError(f"{path} is missing")
    if path.stat().st_size != entry.bytes or sha256(path) != entry.sha256:
        raise BundleError(f"{path} is not the file that was exported: its SHA-256 differs")


def check_sizes(directory: Path, manifest: Manifest) -> None:
    """Raises BundleError where a file is missing or of another size: what costs next to nothing."""
    for name in FILES.ALL:
        if name not in manifest.files:
            raise BundleError(f"{directory / MANIFEST} does not list {name}")
    for name, entry in manifest.files.items():
        path = directory / name
        if name not in (*FILES.ALL, *FILES.OPTIONAL):
            raise BundleError(f"{directory / MANIFEST} lists {name}, which is no file of a bundle")
        if not path.is_file():
            raise BundleError(f"{path} is missing")
        if path.stat().st_size != entry.bytes:
            raise BundleError(f"{path} is not the file that was exported: its size differs")
