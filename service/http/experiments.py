"""Experiments: what came of what two bundles showed, side by side."""

from collections.abc import Mapping
from dataclasses import asdict
from math import isfinite

from fastapi import APIRouter, HTTPException

from service.events.outcomes import Outcomes
from service.experiments import intervals, verdict
from service.experiments.intervals import Interval
from service.experiments.sums import METRICS, Metric
from service.experiments.trial import Trial, Variant
from service.generation.registry import NotReadyError
from service.http.experiment_schemas import (
    Between,
    Coverage,
    Difference,
    ExperimentsState,
    Metrics,
    PassedState,
    SplitState,
    TrialState,
    VariantState,
)
from service.http.problems import documented
from service.http.routes import CurrentState

experiments = APIRouter()


@experiments.get("/experiments", responses=documented({404: "Outcomes are not counted"}))
async def compare(state: CurrentState) -> ExperimentsState:
    """Did it help? The current bundle and the canary side by side, by what came of their answers.

    Look as often as you like: whenever it is that a metric is `decided`, that is so with 95%, all
    of them together. Callers are compared, for callers are what is split: each is observed once,
    for `hours` from the first answer on, and counted an hour later. Another bundle or another share
    begins another trial.
    """
    if (status := state.status()) == "loading":  # the log is being read, in a thread
        raise NotReadyError(status)
    outcomes = state.events.feed.outcomes
    if outcomes is None:
        raise HTTPException(404, "outcomes are not counted: BBQREC_OUTCOME_HOURS is 0")
    bundles = [found.bundle for found in state.registry.roles().values()]
    names = {bundle.digest: bundle.manifest.name for bundle in bundles}
    return ExperimentsState(
        hours=outcomes.window / 3600,
        known_hours=_known_hours(outcomes),
        trial=outcomes.trial and _trial(outcomes.trial, names),
        passed=PassedState(**asdict(outcomes.passed)),
        ended=[_trial(trial, names) for trial in outcomes.ended],
    )


def _known_hours(outcomes: Outcomes) -> float | None:
    oldest = outcomes.answers.oldest()
    return None if oldest is None else (outcomes.now - oldest.time) / 3600


def _trial(trial: Trial, names: Mapping[str, str]) -> TrialState:
    fewest = min(variant.shown.slots for variant in trial.roles().values())
    variants = [
        _variant(role, variant, names.get(variant.model), fewest)
        for role, variant in trial.roles().items()
    ]
    canary = trial.canary
    return TrialState(
        since=trial.since,
        until=trial.until,
        variants=variants,
        differences=[_difference(trial, canary, metric) for metric in METRICS] if canary else [],
        split=_split(trial, canary) if canary else None,
    )


def _variant(role: str, of: Variant, name: str | None, fewest: int) -> VariantState:
    found = {metric: _between(intervals.of_one(of.sums, metric)) for metric in METRICS}
    return VariantState(
        role="canary" if role == "canary" else "current",
        model_version=of.model,
        name=name,
        share=of.share,
        answers=of.answers,
        items=of.shown.slots,
        clicks=of.clicks,
        conversions=of.conversions,
        value=of.value if isfinite(of.value) else None,
        callers=of.callers,
        observed=of.sums.callers,
        coverage=Coverage(items=of.shown.items(), items_alike=of.shown.items_in(fewest)),
        metrics=Metrics(**found),
    )


def _difference(trial: Trial, canary: Variant, metric: Metric) -> Difference:
    found = verdict.of_metric(trial, canary, metric)
    between = _between(found.difference)
    base = trial.current.sums.estimate(metric)
    return Difference(
        metric=metric,
        decided=found.decided,
        says=found.says,
        difference=between,
        relative=between.estimate / base.mean if between and base and base.mean else None,
    )


def _split(trial: Trial, canary: Variant) -> SplitState:
    callers = trial.current.callers + canary.callers
    return SplitState(
        canary_share=canary.callers / callers if callers else None,
        chance=trial.split_chance(),
        says=verdict.of_split(trial, canary),
    )


def _between(found: Interval | None) -> Between | None:
    """None, too, where a value that somebody sent is beyond all measure."""
    if found is None or not all(map(isfinite, found)):
        return None
    return Between(**found._asdict())
