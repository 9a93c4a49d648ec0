"""Nouns and shapes that both sides share.

Shape legend, used as a suffix wherever a tensor's layout is not obvious (``codes_NS``):

====== =====================================================================
N      items in the catalogue
B      histories in a batch
T      items in a history, oldest first, padded on the right
R      rows of a history that ask: all T, or one a history where only the last one is needed
M      modalities of a semantic ID (text, image, ..., behaviour)
L      levels of the residual codebook
K      codes in one level; the code K itself is *null*: "this modality is missing"
S      slots of a semantic ID, S = M * L, modality-major
Q      size of a quantized vector
D      width of the sequence model, and size of item and user vectors
H      attention heads
P      modality pairs whose similarity reweights attention
====== =====================================================================
"""

from collections.abc import Iterable
from typing import Annotated, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

CodeArray = NDArray[np.uint16]
FloatArray = NDArray[np.float32]
IndexArray = NDArray[np.int32]


# A view of an item: a name, which is also a table's in the configuration and a file's on disk.
MODALITY_NAME: Final = r"^[a-z][a-z0-9_]{0,31}$"
Modality = Annotated[str, Field(pattern=MODALITY_NAME)]
TEXT: Final = "text"
IMAGE: Final = "image"
BEHAVIOUR: Final = "behaviour"  # learned from histories, not from content


def in_order(modalities: Iterable[Modality]) -> tuple[Modality, ...]:
    """The order of slots in a semantic ID: text, image, others by name, and behaviour last."""
    place = {TEXT: 0, IMAGE: 1, BEHAVIOUR: 3}
    return tuple(sorted(modalities, key=lambda modality: (place.get(modality, 2), modality)))


class ItemCodes(NamedTuple):
    """What the sequence model needs to know of one item.

    ``item_index`` is the row in the catalogue, whose tables hold all else; ``codes`` is (S,). A
    live item's row is beyond the catalogue's: ``read_D`` is what a model reads of it.
    """

    item_index: int
    codes: CodeArray
    read_D: FloatArray | None = None
