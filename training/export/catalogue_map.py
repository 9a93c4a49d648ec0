"""Where items lie on the map of the catalogue.

Along the two directions in which their vectors differ most (principal components), all vectors made
of one length, so that what is used much does not lie apart by that alone.
"""

import numpy as np
from numpy.typing import NDArray

from models.contract.catalogue_map import MOST_POINTS, SPAN, CatalogueMap
from models.contract.types import FloatArray


def draw_map(vectors_ND: FloatArray, popularity_N: NDArray[np.int64]) -> CatalogueMap:
    """Of the most used items, as many as are drawn."""
    rows_J = np.argsort(-popularity_N, kind="stable")[:MOST_POINTS]
    vectors_JD = vectors_ND[rows_J].astype(np.float64)
    lengths_J1 = np.linalg.norm(vectors_JD, axis=1, keepdims=True)
    units_JD = vectors_JD / np.maximum(lengths_J1, 1e-12)
    centred_JD = units_JD - units_JD.mean(axis=0)
    values_D, directions_DD = np.linalg.eigh(centred_JD.T @ centred_JD)  # the widest is the last
    places_J2 = centred_JD @ _signed(directions_DD[:, [-1, -2]])
    places_J2 -= places_J2.min(axis=0)
    places_J2 /= np.maximum(places_J2.max(axis=0), 1e-12)
    held = float(values_D[-2:].sum() / max(values_D.sum(), 1e-12))
    return CatalogueMap(rows_J.astype(np.int32), np.round(SPAN * places_J2).astype(np.uint16), held)


def _signed(directions_D2: NDArray[np.float64]) -> NDArray[np.float64]:
    """A direction has no sign of its own: its largest part decides, so that maps stay the same."""
    largest_2 = np.abs(directions_D2).argmax(axis=0)
    return directions_D2 * np.sign(directions_D2[largest_2, [0, 1]])
