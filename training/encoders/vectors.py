"""The user's own vectors, from .npy, .safetensors or .parquet."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from training.encoders.embeddings import ItemEmbeddings
from training.errors import UserError


class OwnVectors(NamedTuple):
    """The embeddings, how many of the file's ids are no item, and how many rows are all zero."""

    embeddings: ItemEmbeddings
    unknown: int
    zero: int


class Table(NamedTuple):
    """A file's rows as they stand: one id and one vector each."""

    ids: list[str]
    vectors_RX: NDArray[Any]


def read_vectors(path: Path, ids: Path | None, item_ids: Sequence[str]) -> OwnVectors:
    """Bring a file's rows into item_index order. An item without a row, or of zeros, is missing.

    Raises UserError naming file and row: not finite, a repeated id, ids and vectors of unequal
    number, or no id that is an item.
    """
    table = _read(path, ids)
    _check_rows(path, table)
    vectors_RX = _finite(path, table)
    index = {item_id: item_index for item_index, item_id in enumerate(item_ids)}
    known = [row for row, item_id in enumerate(table.ids) if item_id in index]
    if not known:
        first = f", such as {table.ids[0]!r}" if table.ids else ""
        raise UserError(f"{path}: none of its {len(table.ids):,} ids{first} is an item")
    placed = [index[table.ids[row]] for row in known]
    vectors_ND = np.zeros((len(item_ids), vectors_RX.shape[1]), np.float32)
    vectors_ND[placed] = vectors_RX[known]
    # All zeros points nowhere: it is how many pipelines write "none", so none it is.
    embeddings = ItemEmbeddings(vectors_ND, np.asarray(vectors_ND.any(axis=1)))
    zero = len(known) - int(embeddings.present_N.sum())
    return OwnVectors(embeddings, len(table.ids) - len(known), zero)


def _read(path: Path, ids: Path | None) -> Table:
    readers: dict[str, Callable[[Path], NDArray[Any]]] = {
        ".npy": _read_npy,
        ".safetensors": _read_safetensors,
    }
    try:
        if path.suffix == ".parquet":
            return _read_parquet(path)
        if path.suffix not in readers:
            raise UserError(f"{path}: vectors are read from .npy, .safetensors or .parquet")
        if ids is None:
            raise UserError(f"{path} holds no ids: name a file with `ids`, one item id a line")
        return Table(_read_ids(ids), readers[path.suffix](path))
    except (OSError, ValueError, EOFError, SafetensorError, pl.exceptions.PolarsError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def _read_ids(path: Path) -> list[str]:
    try:
        ids = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    for line, item_id in enumerate(ids, start=1):
        if not item_id.strip():
            raise UserError(f"{path}, line {line}: an item id is missing")
    return ids


def _read_npy(path: Path) -> NDArray[Any]:
    array = np.load(path, allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise UserError(f"{path} is an archive of arrays, not one array")
    return array


def _read_safetensors(path: Path) -> NDArray[Any]:
    # Through torch, because numpy knows no bfloat16.
    with safe_open(path, framework="pt") as tensors:
        if "vectors" not in tensors.keys():  # noqa: SIM118 - not a mapping
            raise UserError(f"{path} holds no tensor `vectors`")
        array: NDArray[Any] = tensors.get_tensor("vectors").float().numpy()
    return array


def _read_parquet(path: Path) -> Table:
    frame = pl.read_parquet(path)
    if absent := {"item_id", "vector"} - set(frame.columns):
        raise UserError(f"{path} has no column {' and no column '.join(sorted(absent))}")
    ids, vectors = frame["item_id"].cast(pl.String), frame["vector"]
    if not isinstance(vectors.dtype, pl.List | pl.Array):
        raise UserError(f"{path}: column vector holds {vectors.dtype}, not lists of numbers")
    vectors = vectors.cast(pl.List(pl.Float32))
    present_R = vectors.is_not_null().to_numpy()
    lengths_R = vectors.list.len().fill_null(0).to_numpy()
    size = int(lengths_R[present_R][0]) if present_R.any() else 0
    for row, item_id in enumerate(ids):
        if item_id is None:
            raise UserError(f"{path}, row {row}: an item id is missing")
        if present_R[row] and lengths_R[row] != size:
            raise UserError(f"{path}, row {row} ({item_id}): {lengths_R[row]} numbers, not {size}")
    vectors_RX = np.zeros((len(frame), size), np.float32)
    numbers = vectors.drop_nulls().explode().to_numpy()
    vectors_RX[present_R] = numbers.reshape(-1, size) if size else 0
    return Table(ids.to_list(), vectors_RX)


def _check_rows(path: Path, table: Table) -> None:
    shape = table.vectors_RX.shape
    if len(shape) != 2 or not shape[1]:
        raise UserError(f"{path}: vectors have shape {shape}, not (items, numbers)")
    if shape[0] != len(table.ids):
        raise UserError(f"{path} has {shape[0]:,} vectors for {len(table.ids):,} item ids")
    seen: dict[str, int] = {}
    for row, item_id in enumerate(table.ids):
        if seen.setdefault(item_id, row) != row:
            raise UserError(
                f"{path}, row {row}: {item_id} is there already, in row {seen[item_id]}"
            )


def _finite(path: Path, table: Table) -> NDArray[np.float32]:
    if not np.can_cast(table.vectors_RX.dtype, np.float64):
        raise UserError(f"{path} holds {table.vectors_RX.dtype}, not real numbers")
    with np.errstate(over="ignore"):  # too large for float32 becomes infinite, and is named below
        vectors_RX = table.vectors_RX.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(vectors_RX).all(axis=1))
    if bad.size:
        row = int(bad[0])
        raise UserError(
            f"{path}, row {row} ({table.ids[row]}): a number is not finite as float32; "
            f"{bad.size:,} such rows"
        )
    return vectors_RX
