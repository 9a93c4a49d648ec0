"""What is shown, as metrics tell of it."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from models.contract.bundle import Bundle
from service.generation.recommended import Recommended
from service.generation.recommender import Recommendation
from service.generation.showing import Showing, parts_of
from service.metrics import Metrics
from tests.tiny_bundle import ITEMS


class Shown:
    """One generation's showing, and what metrics tell of it; hours pass when they are told to."""

    def __init__(self, tiny: Bundle) -> None:
        self.metrics = Metrics()
        self.hours = 0.0
        self.showing = Showing(tiny, self.metrics, lambda: 3600 * self.hours)
        self.digest = tiny.digest

    def show(self, rows: Sequence[int], *, score: float = 0.0, plain: bool = True) -> None:
        async def answered() -> None:
            items = [Recommended(row, score) for row in rows]
            self.showing.note(Recommendation(items, [], None), plain=plain)
            self.showing.count()

        asyncio.run(answered())

    def told(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"bbqrec_{name}", labels) or 0.0

    def coverage(self) -> float:
        return self.told("shown_coverage", digest=self.digest)

    def deciles(self) -> list[float]:
        return [self.told("score_decile_total", decile=str(n)) for n in range(10)]


@pytest.fixture
def shown(tiny: Bundle) -> Shown:
    return Shown(tiny)


def test_the_most_used_have_half_of_all_uses_and_unused_items_are_new(tiny: Bundle) -> None:
    """Item n is used n times."""
    part_N = parts_of(tiny.catalogue)
    head = np.flatnonzero(part_N == 0)
    assert list(head) == list(range(head[0], ITEMS))
    assert sum(head) >= sum(range(ITEMS)) / 2 > sum(head[1:])
    assert list(np.flatnonzero(part_N == 2)) == [0]


def test_items_shown_are_counted_by_part_and_live_ones_are_new(shown: Shown) -> None:
    shown.show([ITEMS - 1, ITEMS - 2, 1, 0, ITEMS, ITEMS + 7])
    counts = [shown.told("shown_total", part=part) for part in ("head", "tail", "new")]
    assert counts == [2, 1, 3]


def test_coverage_is_of_this_hour_and_the_one_before(shown: Shown) -> None:
    shown.show(range(6))
    shown.show(range(6))
    assert shown.coverage() == 6 / ITEMS
    shown.hours = 1.5
    shown.show([10])
    assert shown.coverage() == 7 / ITEMS
    shown.hours = 2.5
    shown.show([11])
    assert shown.coverage() == 2 / ITEMS
    shown.showing.close()
    assert shown.coverage() == 0


def test_best_scores_are_counted_by_the_deciles_of_the_bundle(tiny: Bundle, shown: Shown) -> None:
    deciles = tiny.manifest.score_deciles
    assert len(deciles) == 9
    assert list(deciles) == sorted(deciles)
    shown.show([1], score=deciles[0] - 1)
    shown.show([1], score=(deciles[4] + deciles[5]) / 2)
    shown.show([1], score=deciles[8] + 1)
    assert shown.deciles() == [1, 0, 0, 0, 0, 1, 0, 0, 0, 1]


def test_what_a_filter_kept_the_best_away_from_is_no_drift(shown: Shown) -> None:
    shown.show([1], plain=False)
    shown.show([])
    assert shown.deciles() == [0.0] * 10


def test_answers_are_counted_within_moments_by_themselves(
    shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.generation.showing._EVERY", 0.01)

    async def answered() -> None:
        for row in (1, 2):
            shown.showing.note(Recommendation([Recommended(row, 0.0)], [], "popular"), plain=True)
        await asyncio.sleep(0.1)

    asyncio.run(answered())
    assert shown.told("shown_total", part="tail") == 2
    assert shown.deciles() == [0.0] * 10  # popularity is no score
