"""Verdict: what a trial has come to, in plain words."""

from datetime import UTC, datetime
from typing import NamedTuple

from service.experiments.intervals import FEWEST, LEVEL, Interval, of_difference
from service.experiments.sums import Metric
from service.experiments.trial import SUSPICIOUS, Trial, Variant


class Verdict(NamedTuple):
    """Of one metric. difference: canary - current, None where too few callers tell."""

    decided: bool
    difference: Interval | None
    says: str


def of_metric(trial: Trial, canary: Variant, metric: Metric) -> Verdict:
    """Better, worse, or not known yet."""
    difference = of_difference(trial.current.sums, canary.sums, metric)
    if (decision := trial.decided.get(metric)) is not None:
        better = "better" if decision.difference.sign > 0 else "worse"
        since = datetime.fromtimestamp(decision.time, UTC).isoformat(timespec="seconds")
        says = f"decided: the canary is {better}, since {since}, after {decision.callers:,} callers"
        return Verdict(True, difference, says)
    if difference is None:
        says = (
            f"undecided: {_who(metric)}, by now {_some(trial.current, metric)} of the current's "
            f"callers and {_some(canary, metric)} of the canary's, at least {FEWEST} are needed"
        )
        return Verdict(False, None, says)
    says = f"undecided: with {LEVEL:.0%} certainty the difference may be of either sign"
    return Verdict(False, difference, says)


def of_split(trial: Trial, canary: Variant) -> str:
    """Whether callers were split as they were meant to be."""
    callers, chance = trial.current.callers + canary.callers, trial.split_chance()
    if not callers:
        return "no caller has come yet"
    if chance is None:
        return f"the canary is meant to get {canary.share:.0%}: there is nothing to compare"
    found = f"{canary.callers / callers:.2%} of {callers:,} callers, {canary.share:.2%} are meant"
    if chance < SUSPICIOUS:
        return (
            f"not as meant: the canary got {found}. Something lets callers of one go missing: "
            "do not trust the comparison"
        )
    return f"as meant: the canary got {found}"


def _who(metric: Metric) -> str:
    return {
        "click_through": "too few have clicked",
        "conversion": "too few have converted",
        "value": "too few have brought any value",
    }[metric]


def _some(variant: Variant, metric: Metric) -> int:
    found = variant.sums.estimate(metric)
    return 0 if found is None else found.some
