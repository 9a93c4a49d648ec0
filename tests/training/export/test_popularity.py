"""What answers new users fades as fast as the log says that tastes do."""

import numpy as np

from training.export.popularity import DAYS, Uses, recency, recent

_DAY = 86_400


def drifting(days: int, favourites_last: int) -> Uses:
    """Every day a favourite is taken nine times, others at random; it lasts so many days."""
    random, items, times = np.random.default_rng(0), [], []
    for day in range(days):
        items += [day // favourites_last] * 9 + random.integers(0, 100, 9).tolist()
        times += [day * _DAY + n for n in range(18)]
    return Uses(np.array(items, np.int32), np.array(times, np.int64))


def test_the_faster_tastes_drift_the_faster_uses_fade() -> None:
    fast, slow = (recency(drifting(300, lasting), 300) for lasting in (4, 60))
    assert fast is not None
    assert slow is not None
    assert fast.half_life < slow.half_life
    assert fast.as_of == 299 * _DAY + 17
    assert {fast.half_life / _DAY, slow.half_life / _DAY} <= {*DAYS}


def test_uses_that_are_a_half_life_old_count_half() -> None:
    uses = Uses(np.array([0, 1, 1], np.int32), np.array([0, 7 * _DAY, 0], np.int64))
    fading = recency(drifting(300, 4), 300)
    assert fading is not None
    fading = fading.model_copy(update={"half_life": 7.0 * _DAY, "as_of": 7.0 * _DAY})
    assert recent(uses, 3, fading).tolist() == [0.5, 1.5, 0.0]


def test_nothing_fades_where_there_are_no_times_or_tastes_stay() -> None:
    same = Uses(np.arange(100, dtype=np.int32), np.zeros(100, np.int64))
    assert recency(same, 100) is None
    steady = np.tile(np.repeat(np.arange(10, dtype=np.int32), np.arange(10, 0, -1)), 100)
    times = np.arange(len(steady), dtype=np.int64) * 3600
    assert recency(Uses(steady, times), 10) is None
