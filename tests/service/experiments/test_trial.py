"""A trial: what is decided stays so, and a split that is not as meant is said."""

import pytest

from service.experiments import verdict
from service.experiments.sums import Observed
from service.experiments.trial import Trial, Variant


def trial(current: int = 0, canary: int = 0, share: float = 0.1) -> tuple[Trial, Variant]:
    variant = Variant("b", share, callers=canary)
    return Trial(0.0, Variant("a", 1 - share, callers=current), variant), variant


def test_it_is_decided_once_and_says_since_when() -> None:
    found, canary = trial()
    for n in range(8000):
        found.observe(found.current, Observed(1, n % 10 == 0, False, 0.0), float(n))
        found.observe(canary, Observed(1, n % 2 == 0, False, 0.0), float(n))
    told = verdict.of_metric(found, canary, "click_through")
    assert told.decided
    at = found.decided["click_through"]
    assert 0 < at.callers < 16_000
    for word in ("better", "1970-01-01T", f"{at.callers:,} callers"):
        assert word in told.says
    for n in range(80_000):  # now it is worse
        found.observe(canary, Observed(1, 0, False, 0.0), 1e6 + n)
    assert "better" in verdict.of_metric(found, canary, "click_through").says
    assert found.decided["click_through"] == at


def test_what_is_not_decided_says_why() -> None:
    found, canary = trial()
    assert "0 of the canary's" in verdict.of_metric(found, canary, "value").says
    for n in range(8000):
        for variant in (found.current, canary):
            found.observe(variant, Observed(1, 0, n % 5 == 0, 0.0), 0.0)
    told = verdict.of_metric(found, canary, "conversion")
    assert not told.decided
    assert "either sign" in told.says


@pytest.mark.parametrize(
    ("current", "canary", "as_meant"),
    [(9000, 1000, True), (9050, 950, True), (9200, 800, False), (0, 0, True), (1, 0, True)],
)
def test_a_split_that_chance_does_not_explain_is_said(
    current: int, canary: int, as_meant: bool
) -> None:
    found, variant = trial(current, canary)
    assert ("not as meant" in verdict.of_split(found, variant)) != as_meant


def test_all_or_nothing_is_no_split() -> None:
    for share in (0.0, 1.0):
        found, variant = trial(100, 0, share)
        assert found.split_chance() is None
        assert "nothing to compare" in verdict.of_split(found, variant)
