"""Another ranking's clicks, from what chance showed: unbiased, where the plain mean is not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from training.errors import UserError
from training.evaluate import intervals
from training.replay.estimate import Slots, estimate

ITEMS, KINDS = 5, 3
_random = np.random.default_rng(7)
CLICK = _random.uniform(0.02, 0.4, (KINDS, ITEMS))  # what each kind of user does about each item
# Users who click much were shown what they like more often: what was shown is no fair sample.
ODDS = CLICK**2 / (CLICK**2).sum(axis=1, keepdims=True)
TARGET = np.array([1, 3, 0])  # what the other ranking shows to each kind
KIND = np.array([0.2, 0.5, 0.3])
TRUTH = float(KIND @ CLICK[np.arange(KINDS), TARGET])


def logged(random: np.random.Generator, slots: int, target: NDArray[np.int64] = TARGET) -> Slots:
    kind_J = random.choice(KINDS, slots, p=KIND)
    drawn_J = (random.random(slots)[:, None] > np.cumsum(ODDS, axis=1)[kind_J]).sum(axis=1)
    item_J = np.minimum(drawn_J, ITEMS - 1)
    reward_J = (random.random(slots) < CLICK[kind_J, item_J]).astype(np.float64)
    user_J = np.arange(slots) // 3
    return Slots(user_J, ODDS[kind_J, item_J], reward_J, item_J == target[kind_J])


def test_the_mean_of_many_estimates_is_the_truth_and_that_of_plain_means_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(intervals, "RESAMPLES", 2)  # intervals are not looked at
    random = np.random.default_rng(0)
    plain, ips, snips = [], [], []
    for _ in range(400):
        slots = logged(random, 3000)
        found = estimate(slots, clip=1e9)
        ips.append(found.ips)
        snips.append(found.snips.value)
        plain.append(slots.reward_J[slots.matched_J].mean())
    for means, biased in ((ips, False), (snips, False), (plain, True)):
        error = np.std(means) / np.sqrt(len(means))
        assert (abs(np.mean(means) - TRUTH) > 10 * error) == biased
        assert biased or abs(np.mean(means) - TRUTH) < 3 * error
    assert np.std(snips) < np.std(ips)


def test_what_is_told_is_that_mean_and_its_interval_holds_the_truth() -> None:
    random = np.random.default_rng(1)
    inside = 0
    for _ in range(20):
        slots = logged(random, 3000)
        found = estimate(slots, clip=1e9)
        weight_J = slots.matched_J / slots.odds_J
        assert found.ips == pytest.approx((weight_J * slots.reward_J).mean())
        wanted = (weight_J * slots.reward_J).sum() / weight_J.sum()
        assert found.snips.value == pytest.approx(wanted)
        assert found.logged == slots.reward_J.mean()
        assert found.support.value == pytest.approx(weight_J.mean())
        assert found.effective == pytest.approx(weight_J.sum() ** 2 / (weight_J**2).sum())
        inside += found.snips.low <= TRUTH <= found.snips.high
    assert inside >= 16


def test_clipping_bounds_a_weight_and_is_said() -> None:
    found = estimate(logged(np.random.default_rng(2), 3000), clip=5.0)
    assert found.clipped > 0
    assert found.effective > estimate(logged(np.random.default_rng(2), 3000), 1e9).effective


def test_what_never_had_a_chance_cannot_be_told() -> None:
    slots = logged(np.random.default_rng(3), 3000)
    with pytest.raises(UserError, match="had a chance"):
        estimate(slots._replace(matched_J=np.zeros(3000, np.bool_)), 100.0)
    some_J = slots.matched_J & (np.random.default_rng(4).random(3000) < 0.7)
    found = estimate(slots._replace(matched_J=some_J), 100.0)
    assert found.support.high < 1  # a third of it: the reader is told
