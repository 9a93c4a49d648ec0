"""The index of a large catalogue, learned once, by export: 24 bytes an item.

Lists are k-means cells. Within one, what is left of each vector is turned so that its 32 parts vary
alike, and each part is kept as a four-bit code, which FAISS looks up in registers (fast scan). The
semantic ID's own first code makes a worse cell and its codes explain half of a vector, for words
and z_ID are in no code (docs/benchmarks/serving-log.md).
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import numpy as np
from safetensors.numpy import save_file

from models.contract.bundle import FILES
from models.contract.types import FloatArray

_SEED = 0
_PARTS = (32, 16, 8, 4, 2, 1)  # codes an item: the most that divide its vector's width
_A_LIST = 40  # vectors that one list's centre is learned from
_AT_ONCE = 100_000  # vectors that are compressed together: more would copy the catalogue


class Index(NamedTuple):
    """What a compressed search looks in, and how vectors are turned before."""

    faiss: Any
    rotation_DD: FloatArray


def write_index(directory: Path, item_vectors_ND: FloatArray) -> None:
    """Learn it and write its two files."""
    found = learn_index(item_vectors_ND)
    faiss.write_index(found.faiss, str(directory / FILES.INDEX))
    save_file({"rotation": found.rotation_DD}, directory / FILES.ROTATION)


def learn_index(item_vectors_ND: FloatArray) -> Index:
    """From a sample of the vectors; then all of them are added."""
    items, width = item_vectors_ND.shape
    count, parts = 1 << round(np.log2(items**0.5)), next(m for m in _PARTS if width % m == 0)
    sample_JD = _sample(item_vectors_ND, max(_A_LIST * count, 4096))
    rotation_DD = balanced_rotation(sample_JD, parts)
    faiss.omp_set_num_threads(os.cpu_count() or 1)
    index = _learn(sample_JD @ rotation_DD, count, parts)
    for part_ND in _in_parts(item_vectors_ND):
        index.add(part_ND @ rotation_DD)
    return Index(index, rotation_DD)


def _sample(vectors_ND: FloatArray, size: int) -> FloatArray:
    """At most ``size`` of them, in their order, the same for every run."""
    rows = np.random.default_rng(_SEED).permutation(len(vectors_ND))[:size]
    return vectors_ND[np.sort(rows)]


def _in_parts(vectors_ND: FloatArray) -> Iterator[FloatArray]:
    """A part at a time: all at once would copy the catalogue."""
    return (vectors_ND[n : n + _AT_ONCE] for n in range(0, len(vectors_ND), _AT_ONCE))


def _learn(sample_JD: FloatArray, count: int, parts: int) -> Any:
    """An index of ``count`` lists, empty, its centres and codes learned from a sample.

    Centres are k-means', though lists are filled and searched by inner product: FAISS's own
    training would look for centres by inner product too, and leave more for the codes to tell.
    """
    width = sample_JD.shape[1]
    cells = faiss.Kmeans(width, count, niter=10, seed=1, min_points_per_centroid=1)
    cells.train(sample_JD)
    assert cells.centroids is not None
    centres = faiss.IndexFlatIP(width)
    centres.add(cells.centroids)
    metric = faiss.METRIC_INNER_PRODUCT
    index = faiss.IndexIVFPQFastScan(centres, width, count, parts, 4, metric)
    index.by_residual = True
    index.train(sample_JD)
    return index


def balanced_rotation(vectors_JD: FloatArray, parts: int) -> FloatArray:
    """(D, D), orthogonal: principal axes dealt out so that every part has as much to tell.

    Each part gets equally many axes, and the product of its variances is about that of the others:
    what optimised product quantization comes to for a normal distribution (Ge et al., CVPR 2013,
    section 3.2), without its iterations.
    """
    variance_D, axes_DD = np.linalg.eigh(np.cov(vectors_JD.T))
    told_D = np.log(np.maximum(variance_D, 1e-9 * variance_D[-1]))
    told_D -= told_D.min()
    dealt: list[list[int]] = [[] for _ in range(parts)]
    told = [0.0] * parts
    for axis in reversed(range(len(told_D))):  # the most telling first
        open_parts = [p for p in range(parts) if len(dealt[p]) < len(told_D) // parts]
        part = min(open_parts, key=told.__getitem__)
        dealt[part].append(axis)
        told[part] += told_D[axis]
    rotation_DD: FloatArray = np.ascontiguousarray(axes_DD[:, np.concatenate(dealt)], np.float32)
    return rotation_DD
