"""The catalogue in two dimensions, as the bundle's map has it, coloured by first codes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from models.contract.bundle import FILES
from models.contract.catalogue_map import SPAN, CatalogueMap
from models.contract.config import CodeSpace
from training.report.facts import Group, Map

_DRAWN = 5000  # items at most: the most used half, and as many of the others, drawn by a seed
_GROUPS = 8  # first codes that get a colour
_TITLES = 3
_LABELS = 10
_PLACES = 3  # decimals of a place, a tenth of a pixel
Places = NDArray[np.float64]


def catalogue_map(bundle: Path, space: CodeSpace, titles: Sequence[str]) -> Map:
    """As a bundle has it, thinned out. Raises OSError for a bundle without one."""
    whole = CatalogueMap.read(bundle / FILES.MAP)
    chosen = _chosen(len(whole.rows_J))
    drawn_J = whole.rows_J[chosen].astype(np.int64)
    place_J2 = whole.places_J2[chosen] / SPAN
    code_J = load_file(bundle / FILES.SEMANTIC_IDS)["codes"][drawn_J, 0]
    codes, counts = np.unique(code_J[code_J != space.null_code], return_counts=True)
    largest = codes[np.argsort(-counts, kind="stable")][:_GROUPS]
    of_group = np.isin(code_J, largest)
    named = range(min(_LABELS, len(drawn_J)))
    return Map(
        modality=space.modalities[0],
        groups=tuple(_group(code, code_J, drawn_J, place_J2, titles) for code in largest.tolist()),
        others=_points(place_J2[~of_group]),
        labels=tuple((*_points(place_J2[j : j + 1])[0], titles[drawn_J[j]]) for j in named),
        items=len(titles),
        variance=whole.held,
        explained=_explained(place_J2, code_J),
        chance=(len(codes) - 1) / max(len(code_J) - 1, 1),
    )


def _chosen(points: int) -> NDArray[np.int64]:
    """Which are drawn: the most used, and as many of the others."""
    if points <= _DRAWN:
        return np.arange(points)
    first, rest = np.arange(_DRAWN // 2), np.arange(_DRAWN // 2, points)
    some = np.random.default_rng(0).permutation(len(rest))[: _DRAWN - len(first)]
    return np.concatenate([first, rest[np.sort(some)]])


def _group(
    code: int,
    code_J: NDArray[np.uint16],
    drawn_J: NDArray[np.int64],
    place_J2: Places,
    titles: Sequence[str],
) -> Group:
    at = np.flatnonzero(code_J == code)
    said = tuple(titles[row] for row in drawn_J[at[:_TITLES]])
    return Group(code, len(at), said, _points(place_J2[at]))


def _points(place_J2: Places) -> tuple[tuple[float, float], ...]:
    return tuple((x, y) for x, y in place_J2.round(_PLACES).tolist())


def _explained(place_J2: Places, code_J: NDArray[np.uint16]) -> float:
    """Share of the variance between first codes."""
    _, group_J = np.unique(code_J, return_inverse=True)
    count_G = np.bincount(group_J)
    sums_G2 = np.stack([np.bincount(group_J, axis_J) for axis_J in place_J2.T], axis=1)
    everywhere_2 = place_J2.mean(axis=0)
    away_G2 = sums_G2 / count_G[:, None] - everywhere_2
    between = (count_G[:, None] * away_G2**2).sum()
    return float(between / max(((place_J2 - everywhere_2) ** 2).sum(), 1e-12))
