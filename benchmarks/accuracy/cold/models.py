"""Models of the cold tables: ours with each source of content, and what new items need to beat."""

from collections.abc import Mapping
from typing import Any

from benchmarks.accuracy.models import ABLATIONS, BACKBONES, OURS, Settings

MAIN = "bbqrec-with-words-in-behaviour"
_WITHOUT_CODES = [["words", "id"], ["words", "id"], ["words", "behaviour"]]
RANDOM_CODES = f"{MAIN}-and-random-codes"
OF_OURS: dict[str, Settings] = {
    MAIN: ABLATIONS[MAIN],
    OURS: {},
    f"{MAIN}-without-codes": {"fit.towers": _WITHOUT_CODES},
    "bbqrec-without-words": ABLATIONS["bbqrec-without-words"],
    RANDOM_CODES: ABLATIONS[MAIN],
}
LEARNED: Mapping[str, Settings] = {**OF_OURS, **BACKBONES}
# Also as they were before calibration: with every share that all items alike may borrow.
WITH_FIXED_SHARES = (MAIN, OURS)
CONTENT_KNN = ("content-knn-1", "content-knn-5", "content-knn-decayed")
TIMED = ("popular-7-days",)  # needs times
COUNTED = ("popularity", "item-knn-decayed", *CONTENT_KNN)


def tuned_as(model: str) -> str:
    """Whose search a model's settings come from."""
    return OURS if model in OF_OURS else model


def settings_of(model: str, tuned: Settings) -> dict[str, Any]:
    """The tuned settings, with what makes the model that one."""
    return {**tuned, **LEARNED[model]}
