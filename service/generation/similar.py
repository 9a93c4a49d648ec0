"""Items that are like one: by what users do with them, or by what they are."""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.contract.types import BEHAVIOUR, CodeArray, FloatArray
from service.catalogue.live_items import LiveItems

By = Literal["behaviour", "content"]
Columns = Sequence[slice]
_ALL: Columns = (slice(None),)
_AT_ONCE = 2**16  # rows
_TIE = 1e-3  # what vectors add where as many codes are the same


class Near(NamedTuple):
    """A row, and how near: 1 at most, but for ties by content."""

    row: int
    score: float


class _Rows(NamedTuple):
    """Some rows one after another."""

    first: int
    codes_JS: CodeArray
    vectors_JD: FloatArray
    gone_J: NDArray[np.bool_]


class Similar:
    """Looks at every item: exact, and for a thread. Deleted items are not found."""

    def __init__(self, items: LiveItems) -> None:
        self.items = items
        space = items.bundle.manifest.architecture.code_space
        self.levels = space.levels
        self.null_code = space.null_code
        self.content = [n for n, name in enumerate(space.modalities) if name != BEHAVIOUR]
        self.columns: dict[By, Columns] = {
            "behaviour": items.bundle.vectors.columns or _ALL,
            "content": _others(items.bundle.vectors.columns, items.bundle.item_vectors_ND.shape[1]),
        }
        self._lengths: dict[By, FloatArray] = {}  # of the bundle's vectors, made when asked for

    def near(self, row: int, by: By, k: int) -> list[Near]:
        """The ``k`` items most like that of a row, best first, itself not among them.

        behaviour: the cosine of what behaviour towers score. content: the share of codes of content
        that are the same, each level only where those above it are; ties by the cosine of the rest.
        """
        codes_S, vector_D = self.items.codes_of(row), self.items.vectors([row])[0]
        found: list[Near] = []
        for part in self._parts():
            scores_J = self._cosines(part, vector_D, by)
            if by == "content":
                same_J = self._same(part.codes_JS, codes_S)
                same_J += np.float32(_TIE) * scores_J
                scores_J = same_J
            scores_J[part.gone_J] = -np.inf
            if part.first <= row < part.first + len(scores_J):
                scores_J[row - part.first] = -np.inf
            best = _top(scores_J, min(k, len(scores_J)))
            found += [Near(part.first + int(n), float(scores_J[n])) for n in best]
        found.sort(key=lambda near: -near.score)
        return [near for near in found[:k] if near.score > -np.inf]

    def _parts(self) -> Iterator[_Rows]:
        bundle, live = self.items.bundle, self.items.live
        table_NS, table_ND = bundle.semantic_ids.codes_NS, bundle.item_vectors_ND
        for first in range(0, self.items.size, _AT_ONCE):
            part = slice(first, first + _AT_ONCE)
            yield _Rows(first, table_NS[part], table_ND[part], live.gone_N[part])
        count = len(live.gone_M)
        if count:
            codes_MS = self.items.live_codes[:count]
            yield _Rows(self.items.size, codes_MS, live.vectors_MD[:count], live.gone_M)

    def _cosines(self, part: _Rows, vector_D: FloatArray, by: By) -> FloatArray:
        columns = self.columns[by]
        products_J = np.sum([part.vectors_JD[:, c] @ vector_D[c] for c in columns], axis=0)
        length = _lengths(vector_D[None], columns)[0]
        if part.first < self.items.size:
            lengths_J = self._lengths_N(by)[part.first : part.first + len(part.codes_JS)]
        else:
            lengths_J = _lengths(part.vectors_JD, columns)
        cosines_J: FloatArray = products_J / (lengths_J * length + np.float32(1e-12))
        return cosines_J

    def _lengths_N(self, by: By) -> FloatArray:
        found = self._lengths.get(by)
        if found is None:
            found = _lengths(self.items.bundle.item_vectors_ND, self.columns[by])
            self._lengths[by] = found
        return found

    def _same(self, codes_JS: CodeArray, codes_S: CodeArray) -> FloatArray:
        """The share of its codes of content that are the same."""
        same_J, of = np.zeros(len(codes_JS), np.float32), 0
        for modality in self.content:
            slots = slice(modality * self.levels, (modality + 1) * self.levels)
            if codes_S[slots][0] == self.null_code:
                continue
            same_JL = codes_JS[:, slots] == codes_S[slots]
            same_J += np.logical_and.accumulate(same_JL, axis=1).sum(axis=1)
            of += self.levels
        return same_J / np.float32(max(of, 1))


def _top(scores_J: FloatArray, k: int) -> NDArray[np.intp]:
    best = np.argpartition(-scores_J, k - 1)[:k]
    found: NDArray[np.intp] = best[np.argsort(-scores_J[best], kind="stable")]
    return found


def _others(columns: Columns, width: int) -> Columns:
    """Columns between these; all where these are all: then one vector stands for both."""
    edges = [0, *(edge for c in columns for edge in (c.start, c.stop)), width]
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return [slice(start, stop) for start, stop in pairs if start < stop] or _ALL


def _lengths(vectors_JD: FloatArray, columns: Columns) -> FloatArray:
    parts = (vectors_JD[:, c] for c in columns)
    squares_J = np.sum([np.einsum("jd,jd->j", part, part) for part in parts], axis=0)
    lengths_J: FloatArray = np.sqrt(squares_J)
    return lengths_J
