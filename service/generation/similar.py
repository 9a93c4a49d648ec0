"""Items that are like one: by what users do with them, or by what they are."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.contract.types import BEHAVIOUR, CodeArray, FloatArray
from service.catalogue.live_items import LiveItems
from service.retrieval.live import Live

By = Literal["behaviour", "content"]
Columns = Sequence[slice]
_Part = slice | NDArray[np.intp]
_ALL: Columns = (slice(None),)
_AT_ONCE = 2**16  # rows
_TIE = 1e-3  # what vectors add where as many codes are the same


class Near(NamedTuple):
    """A row, and how near: 1 at most, but for ties by content."""

    row: int
    score: float


class _Rows(NamedTuple):
    """Some rows, of the bundle or live ones."""

    rows_J: NDArray[np.intp]
    codes_JS: CodeArray
    vectors_JD: FloatArray
    lengths_J: FloatArray
    gone_J: NDArray[np.bool_]


class Similar:
    """Looks at every item that may be near: exact, and for a thread. Deleted ones are not found."""

    def __init__(self, items: LiveItems) -> None:
        self.items = items
        space = items.bundle.manifest.architecture.code_space
        self.levels = space.levels
        self.null_code = space.null_code
        self.content = [n for n, name in enumerate(space.modalities) if name != BEHAVIOUR]
        self._first_slots = [n * self.levels for n in self.content]
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
        codes_S = self.items.codes_of(row)
        if by == "content":  # who has a first code in common is nearer than who has none
            found = self._best(self._akin(codes_S), row, by, k)
            if len(found) == k:
                return found
        return self._best(self._all(by), row, by, k)

    def _best(self, parts: Iterable[_Rows], row: int, by: By, k: int) -> list[Near]:
        codes_S, vector_D = self.items.codes_of(row), self.items.vectors([row])[0]
        found: list[Near] = []
        for part in parts:
            if not len(part.rows_J):
                continue
            scores_J = self._cosines(part, vector_D, by)
            if by == "content":
                same_J = self._same(part.codes_JS, codes_S)
                same_J += np.float32(_TIE) * scores_J
                scores_J = same_J
            scores_J[part.gone_J | (part.rows_J == row)] = -np.inf
            best = _top(scores_J, min(k, len(scores_J)))
            found += [Near(int(part.rows_J[n]), float(scores_J[n])) for n in best]
        found.sort(key=lambda near: -near.score)
        return [near for near in found[:k] if near.score > -np.inf]

    def _all(self, by: By) -> Iterator[_Rows]:
        for first in range(0, self.items.size, _AT_ONCE):
            yield self._of_bundle(slice(first, first + _AT_ONCE), by)
        yield self._of_live(slice(None), self.items.live, by)

    def _akin(self, codes_S: CodeArray) -> Iterator[_Rows]:
        """Those that have the first code of some modality of content in common with these."""
        live, first_C = self.items.live, codes_S[self._first_slots]
        of_live_CM = self._codes_of(live).T[self._first_slots]
        yield self._of_bundle(self._with_first(self._first_CN, first_C), "content")
        yield self._of_live(self._with_first(of_live_CM, first_C), live, "content")

    def _with_first(self, first_CJ: CodeArray, first_C: CodeArray) -> NDArray[np.intp]:
        same_CJ = (first_CJ == first_C[:, None])[first_C != self.null_code]
        return np.flatnonzero(same_CJ.any(axis=0))

    @cached_property
    def _first_CN(self) -> CodeArray:
        """Of the bundle's items, the first code of each modality of content, side by side."""
        return np.ascontiguousarray(self.items.bundle.semantic_ids.codes_NS.T[self._first_slots])

    def _of_bundle(self, part: _Part, by: By) -> _Rows:
        bundle = self.items.bundle
        return _Rows(
            _numbers(part, self.items.size),
            bundle.semantic_ids.codes_NS[part],
            bundle.item_vectors_ND[part],
            self._lengths_N(by)[part],
            self.items.live.gone_N[part],
        )

    def _of_live(self, part: _Part, live: Live, by: By) -> _Rows:
        gone_M, vectors_JD = live.gone_M, live.vectors_MD[part]
        return _Rows(
            self.items.size + _numbers(part, len(gone_M)),
            self._codes_of(live)[part],
            vectors_JD,
            _lengths(vectors_JD, self.columns[by]),
            gone_M[part],
        )

    def _codes_of(self, live: Live) -> CodeArray:
        """(M, S), of no more rows than are published."""
        codes_MS: CodeArray = self.items.live_codes[: len(live.gone_M)]
        return codes_MS

    def _cosines(self, part: _Rows, vector_D: FloatArray, by: By) -> FloatArray:
        columns = self.columns[by]
        products_J = np.sum([part.vectors_JD[:, c] @ vector_D[c] for c in columns], axis=0)
        length = _lengths(vector_D[None], columns)[0]
        cosines_J: FloatArray = products_J / (part.lengths_J * length + np.float32(1e-12))
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


def _numbers(part: _Part, of: int) -> NDArray[np.intp]:
    return np.arange(*part.indices(of)) if isinstance(part, slice) else part


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
