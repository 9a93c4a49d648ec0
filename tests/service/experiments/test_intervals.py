"""Intervals that may be looked at any time, of callers, and when they tell nothing."""

from dataclasses import astuple

import numpy as np
import pytest
from scipy.stats import binomtest

from benchmarks.experiments import drawn, same, until_decided
from service.experiments.intervals import FEWEST, margin, of_difference, of_one
from service.experiments.sums import METRICS, Observed, Sums


def sums_of(random: np.random.Generator, callers: int, lift: float = 0.0) -> Sums:
    sums = Sums()
    columns = (column.tolist() for column in drawn(random, callers, lift))
    for caller in zip(*columns, strict=True):
        sums.add(Observed(*caller))
    return sums


def test_looking_after_every_caller_gives_few_false_alarms() -> None:
    """At most 5%, beyond chance; the usual intervals, looked at as often, give many."""
    random = np.random.default_rng(0)
    found = [same(random, 3000, 0.5) for _ in range(150)]
    ours = sum(alarms.ours for alarms in found)
    assert binomtest(ours, len(found)).proportion_ci().low <= 0.05
    assert ours <= 0.06 * len(found)
    by_callers, by_answers = (sum(each[1:][n] for each in found) for n in (0, 1))
    assert binomtest(by_callers, len(found)).proportion_ci().low > 0.05
    assert by_callers < by_answers


def test_what_is_better_is_found_out_the_sooner_the_better_it_is() -> None:
    random = np.random.default_rng(0)
    twice, half_more = (until_decided(random, 0.5, lift)["click_through"] for lift in (1.0, 0.5))
    assert twice <= half_more < 20_000


@pytest.mark.parametrize("metric", METRICS)
def test_variances_are_those_of_many_draws(metric: str) -> None:
    """By callers, the ratio's by the delta method: what means of samples do vary by."""
    random = np.random.default_rng(0)
    found = [sums_of(random, 1500).estimate(metric) for _ in range(200)]  # type: ignore[arg-type]
    means = [each.mean for each in found if each]
    told = np.mean([each.variance / 1500 for each in found if each])
    assert np.var(means) == pytest.approx(told, rel=0.3)


def test_sums_are_those_of_the_benchmark() -> None:
    random = np.random.default_rng(0)
    columns_FU = drawn(np.random.default_rng(0), 300).columns()
    assert astuple(sums_of(random, 300)) == pytest.approx(columns_FU.sum(axis=1).tolist())


def test_an_interval_is_that_of_the_paper() -> None:
    """Equation of theorem 2.2, typed out once more, at the size where it is tightest."""
    alpha, t = 0.05 / 3, 10_000
    r2 = (-2 * np.log(alpha) + np.log(-2 * np.log(alpha)) + 1) / t
    wanted = np.sqrt(2 * (t * r2 + 1) / (t**2 * r2) * np.log(np.sqrt(t * r2 + 1) / alpha))
    assert margin(t, 4.0) == pytest.approx(2 * wanted)
    errors = [margin(n, 1.0) * np.sqrt(n) for n in (1000, 5000, 10_000, 20_000, 100_000)]
    assert min(errors) == errors[2]


def test_too_few_callers_tell_nothing() -> None:
    sums = Sums()
    assert of_one(sums, "conversion") is None
    for n in range(3 * FEWEST):
        assert of_one(sums, "conversion") is None
        sums.add(Observed(1, 0, n % 2 == 0, 0.0))
        if sums.converted == FEWEST:
            break
    found = of_one(sums, "conversion")
    assert found is not None
    assert found.low < found.estimate < found.high
    assert of_one(sums, "value") is None
    assert of_difference(sums, Sums(), "conversion") is None
