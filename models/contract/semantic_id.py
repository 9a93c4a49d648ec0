"""SemanticIdTable: one unique semantic ID an item."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from models.contract.config import CodeSpace
from models.contract.types import CodeArray, FloatArray

ExtraArray = NDArray[np.uint16] | NDArray[np.uint32]


@dataclass(frozen=True)
class SemanticIdTable:
    """Codes of every item, and the extra code that tells apart what codes alone cannot.

    codes_NS: (N, S) uint16, modality-major; a missing modality holds the null code K in all its
    levels. extra_N: (N,), 0 for nearly all items; uint32 where uint16 is too narrow. The pair is
    unique for every item, which ``check`` looks at where a table is made or written: over ten
    million items it takes half a minute, and a bundle that is read has been checked, and its hash
    says that it is the same.
    """

    space: CodeSpace
    codes_NS: CodeArray
    extra_N: ExtraArray

    def __post_init__(self) -> None:
        """Refuse another shape, and codes out of range."""
        if self.codes_NS.ndim != 2 or self.codes_NS.shape[1] != self.space.slots:
            raise ValueError(f"codes are {self.codes_NS.shape}, want (N, {self.space.slots})")
        if self.codes_NS.size and int(self.codes_NS.max()) > self.space.null_code:
            raise ValueError(f"a code is above {self.space.null_code}")

    def check(self) -> Self:
        """Itself. Raises ValueError for half-missing modalities and duplicates."""
        null_NML = self.codes_NML == self.space.null_code
        if (null_NML.any(axis=2) != null_NML.all(axis=2)).any():
            raise ValueError("a modality is missing in some of its levels but not in all")
        if len(np.unique(self.semantic_ids(), axis=0)) != len(self):
            raise ValueError("semantic IDs are not unique")
        return self

    def __len__(self) -> int:
        return len(self.codes_NS)

    @property
    def codes_NML(self) -> CodeArray:
        """The same codes, (N, M, L)."""
        return self.codes_NS.reshape(len(self), len(self.space.modalities), self.space.levels)

    @property
    def present_NM(self) -> NDArray[np.bool_]:
        """Which modalities each item has."""
        present: NDArray[np.bool_] = self.codes_NML[:, :, 0] != self.space.null_code
        return present

    def semantic_ids(self) -> CodeArray:
        """(N, S + 1): the codes and the extra code."""
        return np.concatenate([self.codes_NS, self.extra_N[:, None]], axis=1)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What a bundle stores."""
        return {"codes": np.ascontiguousarray(self.codes_NS), "extra": self.extra_N}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], space: CodeSpace) -> Self:
        """The inverse of ``arrays``."""
        return cls(space, arrays["codes"], arrays["extra"])


class Resolution(NamedTuple):
    """A unique table, and what it took."""

    table: SemanticIdTable
    collided: int  # items that shared their codes with another before resolution
    moved: int  # items that got another last-level code
    extended: int  # items that needed a non-zero extra code


def resolve_collisions(
    space: CodeSpace,
    codes_NS: CodeArray,
    residual_NMQ: FloatArray,
    last_codebook_MKQ: FloatArray,
) -> Resolution:
    """Make codes unique: the farther items of a group move to their next-nearest free code.

    Of the items that share all codes, the one nearest to its last-level codeword keeps it; each of
    the others tries, for its last present modality, the other last-level codes from near to far,
    and takes the first that makes its semantic ID new. Where none is free (or no modality is
    present) it keeps its codes and gets the next extra code.

    residual_NMQ: what the last level had to quantize, by modality. ``docs/method.md`` section 2.
    """
    codes_NS = codes_NS.copy()
    extra_N = np.zeros(len(codes_NS), np.uint32)
    taken = {row.tobytes() for row in codes_NS}
    groups: dict[bytes, list[int]] = defaultdict(list)
    for item, row in enumerate(codes_NS):
        groups[row.tobytes()].append(item)
    crowded = [group for group in groups.values() if len(group) > 1]
    moved = 0
    for group in crowded:
        slot, modality = _last_present(space, codes_NS[group[0]])
        distances_GK = _distances(residual_NMQ[group, modality], last_codebook_MKQ[modality])
        own = int(codes_NS[group[0], slot])
        order = (
            np.arange(len(group))
            if own == space.null_code
            else np.argsort(distances_GK[:, own], kind="stable")
        )
        for rank, member in enumerate(order[1:], start=1):
            item = group[member]
            if own != space.null_code and _move(codes_NS[item], slot, distances_GK[member], taken):
                moved += 1
            else:
                extra_N[item] = rank
    return Resolution(
        SemanticIdTable(space, codes_NS, narrow(extra_N)).check(),
        collided=sum(map(len, crowded)),
        moved=moved,
        extended=int((extra_N > 0).sum()),
    )


def narrow(extra_N: NDArray[np.uint32]) -> ExtraArray:
    """(N,): as uint16 where they fit, as in nearly all catalogues."""
    fits = extra_N.max(initial=0) <= np.iinfo(np.uint16).max
    return extra_N.astype(np.uint16) if fits else extra_N


def _last_present(space: CodeSpace, codes_S: CodeArray) -> tuple[int, int]:
    """Slot and modality of the last modality that is there; the very last where none is."""
    for modality in reversed(range(len(space.modalities))):
        slot = (modality + 1) * space.levels - 1
        if codes_S[slot] != space.null_code:
            return slot, modality
    return space.slots - 1, len(space.modalities) - 1


def _distances(residual_GQ: FloatArray, codebook_KQ: FloatArray) -> FloatArray:
    squared: FloatArray = (
        (residual_GQ**2).sum(1)[:, None]
        - 2 * residual_GQ @ codebook_KQ.T
        + (codebook_KQ**2).sum(1)[None, :]
    )
    return squared


def _move(codes_S: CodeArray, slot: int, distances_K: FloatArray, taken: set[bytes]) -> bool:
    """Give the row (in place) its nearest last-level code that makes it new; False if none does."""
    own = codes_S[slot]
    for code in np.argsort(distances_K, kind="stable"):
        codes_S[slot] = code
        if (key := codes_S.tobytes()) not in taken:
            taken.add(key)
            return True
    codes_S[slot] = own
    return False
