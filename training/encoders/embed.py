"""Contents to item embeddings, through the cache: each distinct content is encoded once."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import track

from models.contract.types import FloatArray
from training.encoders.cache import VectorCache
from training.encoders.contents import Contents
from training.encoders.embeddings import ItemEmbeddings
from training.encoders.interface import Content, Encoder
from training.errors import UserError

SHARD_ROWS = 512  # what an interruption can cost at most


class Embedded(NamedTuple):
    """The embeddings, and how many distinct contents the cache spared or the encoder made."""

    embeddings: ItemEmbeddings
    cache_hits: int
    encoded: int


def embed(
    contents: Contents[Content],
    encoder: Encoder[Content],
    cache: VectorCache,
    batch_size: int,
    title: str,
) -> Embedded:
    """Look every key up, encode what is not there, keep it for the next run."""
    rows_by_key: dict[bytes, list[int]] = defaultdict(list)
    for row, key in enumerate(contents.keys):
        if key is not None:
            rows_by_key[key].append(row)
    vectors_ND = np.zeros((len(contents.keys), encoder.size), np.float32)
    present_N = np.zeros(len(contents.keys), np.bool_)
    missing = dict(rows_by_key)

    def place(pairs: Iterable[tuple[bytes, FloatArray]]) -> None:
        for key, vector_D in pairs:
            vectors_ND[rows_by_key[key]] = vector_D
            present_N[rows_by_key[key]] = True
            missing.pop(key, None)

    place(cache.read(rows_by_key.keys()))
    todo = {rows[0]: key for key, rows in missing.items()}
    for keys, vectors_RX in _encode(contents, todo, encoder, batch_size, title):
        cache.append(keys, vectors_RX)
        place(zip(keys, vectors_RX, strict=True))
    hits = len(rows_by_key) - len(todo)
    return Embedded(ItemEmbeddings(vectors_ND, present_N), hits, len(todo) - len(missing))


def _encode(
    contents: Contents[Content],
    todo: dict[int, bytes],
    encoder: Encoder[Content],
    batch_size: int,
    title: str,
) -> Iterator[tuple[list[bytes], FloatArray]]:
    """Shards of freshly encoded contents; rows that cannot be loaded are left out."""
    keys: list[bytes] = []
    vectors: list[FloatArray] = []
    for rows in _with_bar(list(_chunks(list(todo), batch_size)), title):
        loaded = zip(rows, contents.load(rows), strict=True)
        usable = [(row, content) for row, content in loaded if content is not None]
        if usable:
            keys += [todo[row] for row, _ in usable]
            vectors.append(_checked(encoder, [content for _, content in usable]))
        if len(keys) >= SHARD_ROWS:
            yield keys, np.concatenate(vectors)
            keys, vectors = [], []
    if keys:
        yield keys, np.concatenate(vectors)


def _checked(encoder: Encoder[Content], batch: Sequence[Content]) -> FloatArray:
    vectors_BX = encoder.encode(batch)
    if vectors_BX.shape != (len(batch), encoder.size) or not np.isfinite(vectors_BX).all():
        raise UserError(
            f"encoder {encoder.name} gave vectors of shape {vectors_BX.shape}, or not finite, "
            f"where {(len(batch), encoder.size)} finite numbers were due"
        )
    return vectors_BX


def _chunks(rows: list[int], size: int) -> Iterator[list[int]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))


def _with_bar(batches: list[list[int]], title: str) -> Iterable[list[int]]:
    console = Console(stderr=True)
    return track(batches, title, console=console, disable=not console.is_terminal)
