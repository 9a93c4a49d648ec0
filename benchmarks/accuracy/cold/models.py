"""Models of the cold tables: ours with each source of content, and what new items need to beat."""

from collections.abc import Mapping
from typing import Any

from benchmarks.accuracy.models import ABLATIONS, BACKBONES, MEMORIES, OURS, SHIPPED, Settings

MAIN = SHIPPED[:2]  # what a run makes; the second, where a file names towers without words
WORDED = MEMORIES[MAIN[0]]
_WITHOUT_CODES = [["words", "id"], ["words", "id"], ["words", "behaviour"]]
RANDOM_CODES = f"{WORDED}-and-random-codes"
OF_OURS: dict[str, Settings] = {
    **{name: ABLATIONS[name] for name in MAIN},
    f"{WORDED}-without-codes": {"fit.towers": _WITHOUT_CODES},
    "bbqrec-without-words": ABLATIONS["bbqrec-without-words"],
    RANDOM_CODES: ABLATIONS[WORDED],
}
LEARNED: Mapping[str, Settings] = {**OF_OURS, **BACKBONES}
CONTENT_KNN = ("content-knn-1", "content-knn-5", "content-knn-decayed")
TIMED = ("popular-7-days",)  # needs times
COUNTED = ("popularity", "item-knn-decayed", *CONTENT_KNN)


def tuned_as(model: str) -> str:
    """Whose search a model's settings come from."""
    return OURS if model in OF_OURS else model


def made_by(model: str) -> str:
    """The job that leaves a model's figures: one with a memory leaves those without it, too."""
    whole = model.partition("-share-")[0]
    return {MEMORIES[name]: name for name in MAIN}.get(whole, whole)


def settings_of(model: str, tuned: Settings) -> dict[str, Any]:
    """The tuned settings, with what makes the model that one."""
    return {**tuned, **LEARNED[model]}
