"""The stage *encode*: a catalogue's content to item embeddings on disk, a file a modality."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from safetensors.numpy import load_file, save_file

from models.contract.content_vectors import unit
from models.contract.types import FloatArray, Modality, in_order
from models.nets.words import ItemWords
from training.config import EncodeConfig, ModalityConfig
from training.encoders.cache import VectorCache
from training.encoders.contents import Reject
from training.encoders.embed import embed
from training.encoders.embeddings import ItemEmbeddings, file_of
from training.encoders.kinds import Kind, kind_of
from training.encoders.vectors import read_vectors
from training.encoders.words import item_words

SUMMARY, REJECTS = "encode.json", "encode_rejects.jsonl"
WORDS, VOCABULARY = "words.safetensors", "vocabulary.txt"  # rows, and a word a line


@dataclass(frozen=True)
class Outcome:
    """What became of one modality; no embeddings when nothing was there to encode."""

    summary: dict[str, Any]
    embeddings: ItemEmbeddings | None = None
    rejects: list[Reject] = field(default_factory=list)


def encode_items(
    items: pl.DataFrame,
    config: EncodeConfig,
    directory: Path,
    cache: Path,
) -> dict[Modality, ItemEmbeddings]:
    """Encode every item's content and write embeddings, ``encode.json`` and rejects.

    ``items`` are the contents of a PreparedDataset, whose files are located. A modality that no
    item has, or that is switched off, is left out.
    """
    if items["item_index"].to_list() != list(range(len(items))):
        raise ValueError("items must have one row an item, in item_index order")
    outcomes = {
        modality: _encode(modality, items, asked, cache)
        for modality, asked in config.modalities().items()
    }
    _write(directory, outcomes)
    vocabulary = item_words(items, config.words)
    save_file(vocabulary.item_words.arrays(), directory / WORDS)
    _write_lines(directory / VOCABULARY, vocabulary.words)
    return {m: outcome.embeddings for m, outcome in outcomes.items() if outcome.embeddings}


def load_embeddings(directory: Path) -> dict[Modality, ItemEmbeddings]:
    """Read back what ``encode_items`` wrote, in the order of modalities."""
    summary = json.loads((directory / SUMMARY).read_text(encoding="utf-8"))
    paths = {modality: file_of(directory, modality) for modality in in_order(summary)}
    return {m: ItemEmbeddings.read(path) for m, path in paths.items() if path.exists()}


def load_content(directory: Path, items: int) -> FloatArray:
    """(N, D): each modality's vectors at unit length, one after another; zero where missing."""
    units = [unit(embedding.vectors_ND) for embedding in load_embeddings(directory).values()]
    return np.concatenate(units or [np.zeros((items, 1), np.float32)], axis=1)


def load_vocabulary(directory: Path) -> list[str]:
    """Read back the words, in the order of their rows."""
    return (directory / VOCABULARY).read_text(encoding="utf-8").splitlines()


def load_encoders(directory: Path) -> dict[Modality, str]:
    """What each modality's vectors were made by, in the order of modalities."""
    summary = json.loads((directory / SUMMARY).read_text(encoding="utf-8"))
    return {m: summary[m]["encoder"] for m in load_embeddings(directory)}


def load_words(directory: Path) -> ItemWords:
    """Read back the words of items."""
    return ItemWords.from_arrays(load_file(directory / WORDS))


def _encode(
    modality: Modality, items: pl.DataFrame, config: ModalityConfig, cache: Path
) -> Outcome:
    if config.encoder == "none":
        return Outcome({"encoder": "none"})
    if config.vectors:
        return _own_vectors(config.vectors, config.ids, items)
    kind: Kind[Any] = kind_of(modality)
    contents = kind.read(items)
    if not any(contents.keys):
        rejects = list(contents.rejects())
        return _outcome({"encoder": config.encoder}, None, rejects, len(items))
    encoder = kind.make(config.encoder)
    store = VectorCache(cache, encoder.name, encoder.size)
    done = embed(contents, encoder, store, config.batch_size, f"Encoding {kind.noun}")
    summary = {
        "encoder": encoder.name,
        "size": encoder.size,
        "cache_hits": done.cache_hits,
        "encoded": done.encoded,
    }
    return _outcome(summary, done.embeddings, list(contents.rejects()), len(items))


def _own_vectors(path: Path, ids: Path | None, items: pl.DataFrame) -> Outcome:
    own = read_vectors(path, ids, items["item_id"].to_list())
    summary = {
        "encoder": f"vectors:{path.name}",
        "size": own.embeddings.vectors_ND.shape[1],
        "unknown_ids": own.unknown,
        "zero_vectors": own.zero,
    }
    return _outcome(summary, own.embeddings, [], len(items))


def _outcome(
    summary: dict[str, Any], found: ItemEmbeddings | None, rejects: list[Reject], items: int
) -> Outcome:
    present = int(found.present_N.sum()) if found else 0
    counts = {"present": present, "missing": items - present, "corrupt": len(rejects)}
    return Outcome(summary | counts, found if present else None, rejects)


def _write(directory: Path, outcomes: dict[Modality, Outcome]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for modality, outcome in outcomes.items():
        path = file_of(directory, modality)
        if outcome.embeddings:
            outcome.embeddings.write(path)
        else:
            path.unlink(missing_ok=True)  # an earlier run may have had it
    summary = {modality: outcome.summary for modality, outcome in outcomes.items()}
    rejects = [reject for outcome in outcomes.values() for reject in outcome.rejects]
    _write_lines(directory / REJECTS, (json.dumps(reject._asdict()) for reject in rejects))
    _write_lines(directory / SUMMARY, [json.dumps(summary, indent=2)])


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
