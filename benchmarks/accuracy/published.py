"""Published figures, Recall@10 and NDCG@10, on the same files: never ours, always marked."""

from typing import NamedTuple


class Published(NamedTuple):
    """One row of somebody's paper; which protocol it used is rarely said."""

    model: str
    recall: float
    ndcg: float
    source: str


_ESASREC = "eSASRec's repository (arXiv 2508.06450)"
_ENSREC = "EnsRec (arXiv 2512.17820)"
_TIGER = "TIGER (arXiv 2305.05065)"
_CORNAC = "its best in Cornac 3.0.1 (cornac/models/tiger/README.md)"
PUBLISHED: dict[str, tuple[Published, ...]] = {
    "beauty": (
        Published("TIGER", 0.0648, 0.0384, _TIGER),
        Published("TIGER, run again", 0.0678, 0.0353, _CORNAC),
        Published("SASRec + sampled softmax", 0.0921, 0.0531, _ESASREC),
        Published("eSASRec", 0.0928, 0.0523, _ESASREC),
        Published("LIGER-Dense", 0.0919, 0.0473, _ENSREC),
        Published("UniSRec", 0.0967, 0.0503, _ENSREC),
        Published("EnsRec", 0.0980, 0.0565, _ENSREC),
    ),
    "sports": (
        Published("TIGER", 0.0400, 0.0225, _TIGER),
        Published("TIGER, run again", 0.0394, 0.0204, _CORNAC),
        Published("SASRec + sampled softmax", 0.0569, 0.0314, _ESASREC),
        Published("eSASRec", 0.0560, 0.0323, _ESASREC),
        Published("LIGER-Dense", 0.0562, 0.0295, _ENSREC),
        Published("UniSRec", 0.0554, 0.0289, _ENSREC),
        Published("EnsRec", 0.0613, 0.0343, _ENSREC),
    ),
    "toys": (
        Published("TIGER", 0.0712, 0.0432, _TIGER),
        Published("TIGER, run again", 0.0583, 0.0308, _CORNAC),
        Published("SASRec + sampled softmax", 0.0970, 0.0580, _ESASREC),
        Published("eSASRec", 0.0939, 0.0538, _ESASREC),
        Published("LIGER-Dense", 0.0947, 0.0467, _ENSREC),
        Published("UniSRec", 0.0989, 0.0491, _ENSREC),
        Published("EnsRec", 0.1061, 0.0625, _ENSREC),
    ),
}
