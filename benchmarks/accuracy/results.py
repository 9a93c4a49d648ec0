"""What the jobs left, as figures of every user, and from those the rows of the table."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.models import (
    ABLATIONS,
    COUNTED,
    LEARNED,
    OURS,
    PEERS,
    RANDOM_BUCKETS,
    SIMILARITY,
)
from benchmarks.accuracy.statistics import Bootstrap, Interval, Values, accuracy
from benchmarks.accuracy.store import Finished, Job, Protocol, Store
from training import stage_files
from training.config import RunConfig
from training.data.histories import Part, targets

PROTOCOLS: tuple[Protocol, ...] = ("strict", "refit")
HEADLINE = "ndcg@10"
COLD, TAIL = 0, 10  # interactions of the held-out item in the training part, at most
SHORT, LONG = 5, 15  # items of the history


@dataclass
class Measured:
    """One model on one data set and protocol: means over its seeds."""

    model: str
    minutes: float  # CPU minutes a seed
    values: dict[str, Values]  # metric -> (U,)
    by_seed: dict[int, Values]  # the headline metric of every seed
    validation: dict[int, float]  # likewise on validation, of the epoch that was chosen
    shown: dict[str, Interval]  # coverage and popularity, over seeds: mean, lowest, highest
    health: dict[str, float]  # of the semantic IDs, where the model looks at any
    curves: list[list[float]]  # validation of the headline metric by epoch, where it was kept
    borrowing: dict[str, float]  # shares that could be borrowed -> validation NDCG@10
    borrowed: list[float]  # the share that every seed chose

    @property
    def seeds(self) -> int:
        """How many there are."""
        return len(self.by_seed)


class Change(NamedTuple):
    """One model against another, relative, on the seeds that both have."""

    test: Interval  # of the means over seeds
    each_S: NDArray[np.float64]  # of every seed, on test
    slices: dict[str, Interval]  # of the means over seeds, on test
    validation: float  # mean over seeds; what choices may look at


@dataclass(frozen=True)
class Results:
    """All models on one data set and protocol, over the same users."""

    dataset: str
    split: str
    protocol: Protocol
    users: int
    slices: Mapping[str, NDArray[np.bool_]]
    bootstrap: Bootstrap
    models: Mapping[str, Measured]

    def gain(self, name: str, other: str) -> Interval:
        """Of one model over another in the headline metric, all seeds of each."""
        ours, theirs = self.models[name].values[HEADLINE], self.models[other].values[HEADLINE]
        return self.bootstrap.gain(ours, theirs)

    def change(self, name: str, other: str) -> Change | None:
        """Seed against same seed: an ablation of one is no match for three. None if none is."""
        one, another = self.models[name], self.models[other]
        seeds = sorted(one.by_seed.keys() & another.by_seed.keys())
        if not seeds:
            return None
        ours_SU, theirs_SU = (np.stack([m.by_seed[s] for s in seeds]) for m in (one, another))
        ours_U, theirs_U = ours_SU.mean(0), theirs_SU.mean(0)
        sliced = {
            name: self.bootstrap.gain(ours_U * chosen_U, theirs_U * chosen_U)
            for name, chosen_U in self.slices.items()
        }
        validations = [one.validation[s] / another.validation[s] - 1 for s in seeds]
        return Change(
            test=self.bootstrap.gain(ours_U, theirs_U),
            each_S=ours_SU.mean(1) / theirs_SU.mean(1) - 1,
            slices=sliced,
            validation=float(np.mean(validations)),
        )

    @cached_property
    def ablations(self) -> dict[str, Change]:
        """Ours without, or with another form of, each part that was tried, against the whole."""
        names = ABLATIONS if OURS in self.models else ()
        changes = {name: self.change(name, OURS) for name in names if name in self.models}
        return {name: change for name, change in changes.items() if change}

    def controlled(self) -> dict[str, Change]:
        """What reweights by similarity against what reweights at random: the worth of knowing it.

        Ours; where ours does not reweight, the ablation that does.
        """
        name = SIMILARITY if SIMILARITY in self.models else OURS
        both = {name, RANDOM_BUCKETS} <= self.models.keys()
        change = self.change(name, RANDOM_BUCKETS) if both else None
        return {name: change} if change else {}

    def with_codes(self) -> str | None:
        """Whose semantic IDs are shown: ours, or an ablation's where ours looks at none."""
        named = (name for name in (OURS, *ABLATIONS) if name in self.models)
        return next((name for name in named if self.models[name].health), None)

    def rows(self) -> Iterator[dict[str, Any]]:
        """As ``docs/benchmarks/accuracy.json`` has them; a slice is a metric of its own."""
        for measured in self.models.values():
            for metric, values_U in measured.values.items():
                yield self._row(measured, metric, self.bootstrap.mean(values_U))
            for metric, interval in measured.shown.items():
                yield self._row(measured, metric, interval)
            for name, chosen_U in self.slices.items():
                interval = self.bootstrap.mean(measured.values[HEADLINE], chosen_U)
                if chosen_U.any():
                    yield self._row(measured, f"{HEADLINE}[{name}]", interval)

    def _row(self, measured: Measured, metric: str, interval: Interval) -> dict[str, Any]:
        return {
            "dataset": self.dataset,
            "split": self.split,
            "protocol": self.protocol,
            "model": measured.model,
            "metric": metric,
            "mean": round(interval.mean, 6),
            "ci_low": round(interval.low, 6),
            "ci_high": round(interval.high, 6),
            "seeds": measured.seeds,
            "minutes": round(measured.minutes, 2),
        }


Recipe = Callable[[Job], str]


def read(
    dataset: str, config: RunConfig, protocol: Protocol, store: Store, recipe: Recipe
) -> Results | None:
    """Everything that has been finished; None where nothing has.

    Not what an earlier configuration or other settings left: ``recipe`` says what a job is now.
    """
    data = stage_files.data(config)
    test = targets(data.histories, Part.TEST, filter_seen=config.filter_seen)
    training = data.histories.up_to(Part.TRAIN)
    count_N = training.uses(data.card.items)
    models = {}
    for model in (*LEARNED, *PEERS, *COUNTED):
        kept = store.seeds(dataset, model, protocol).items()
        if seeds := {job.seed: done for job, done in kept if done.facts["recipe"] == recipe(job)}:
            models[model] = _measured(model, seeds)
    if not models:
        return None
    return Results(
        dataset,
        data.card.split.kind,
        protocol,
        len(test.target),
        slices(count_N[test.target], test.length),
        Bootstrap(len(test.target)),
        models,
    )


def slices(
    target_count_U: NDArray[np.int64], length_U: NDArray[np.int64]
) -> dict[str, NDArray[np.bool_]]:
    """Users by how often their held-out item was trained on, and by the length of their history."""
    return {
        "cold item": target_count_U <= COLD,
        "tail item": (target_count_U > COLD) & (target_count_U <= TAIL),
        "head item": target_count_U > TAIL,
        "short history": length_U <= SHORT,
        "medium history": (length_U > SHORT) & (length_U <= LONG),
        "long history": length_U > LONG,
    }


def _measured(model: str, done: dict[int, Finished]) -> Measured:
    each_seed, seeds = [accuracy(rank_U) for rank_U, _ in done.values()], list(done.values())
    values: dict[str, Values] = {
        metric: np.mean([of[metric] for of in each_seed], axis=0) for metric in each_seed[0]
    }
    by_seed = {seed: of[HEADLINE] for seed, of in zip(done, each_seed, strict=True)}
    # None of refit, and none of models that are counted.
    validation = {s: facts.get("validation_ndcg@10") or np.nan for s, (_, facts) in done.items()}
    shown = {}
    for metric in ("coverage@10", "popularity@10"):
        each = [facts[metric] for _, facts in seeds]
        shown[metric] = Interval(float(np.mean(each)), min(each), max(each))
    return Measured(
        model,
        minutes=float(np.mean([facts["minutes"] for _, facts in seeds])),
        values=values,
        by_seed=by_seed,
        validation=validation,
        shown=shown,
        health=_means("health", seeds),
        curves=[facts["curve"] for _, facts in seeds if facts.get("curve")],
        borrowing=_means("borrowing_tried", seeds),
        borrowed=[facts.get("borrowing") or 0.0 for _, facts in seeds],
    )


def _means(name: str, seeds: list[Finished]) -> dict[str, float]:
    """Of a dictionary of figures in the facts, where it is there and not empty."""
    found = [facts[name] for _, facts in seeds if facts.get(name)]
    return {key: float(np.mean([of[key] for of in found])) for key in (found[0] if found else ())}
