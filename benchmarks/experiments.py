"""``python -m benchmarks.experiments``: may one look at an experiment as often as one likes?

Simulated callers, whose tastes differ, so that answers to one are alike. Two variants that are the
same (A/A), looked at after each caller: how often anything is declared decided that is not. Beside
that, what the usual 95% intervals declare on the same looks, by callers and by answers. Then a
canary that is better: how many callers it takes until that is decided. Last the split of 100,000.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from math import sqrt
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray
from rich.progress import track
from scipy.stats import binomtest

from service.experiments.intervals import FEWEST, LEVEL, margin, of_difference
from service.experiments.sums import METRICS, Metric, Sums
from service.generation.registry import place

_REPORT = Path(__file__).parents[1] / "docs" / "benchmarks" / "experiments.md"
_CONVERT, _USUAL = 0.03, 1.959964
_SHARES = (0.1, 0.5)
_LOOK, _MOST = 1_000, 2_000_000  # callers until the first look at a better one, and the last
_USERS, _TARGETS = 100_000, (0.01, 0.1, 0.5)


class Alarms(NamedTuple):
    """What was declared of one A/A: by us, and by usual intervals."""

    ours: bool
    by_callers: bool
    by_answers: bool


class Drawn(NamedTuple):
    """(U,) each, as Observed has them."""

    answers_U: NDArray[np.int64]
    clicked_U: NDArray[np.int64]
    converted_U: NDArray[np.bool_]
    value_U: NDArray[np.float64]

    def columns(self) -> NDArray[np.float64]:
        """(F, U): what each adds to the fields of Sums, in their order."""
        answers_U, clicked_U, converted_U, value_U = self
        return np.stack(
            [
                *(np.ones(len(answers_U)), answers_U, clicked_U, converted_U, value_U),
                *(answers_U**2, answers_U * clicked_U, clicked_U**2, value_U**2),
                *(clicked_U > 0, value_U != 0),
            ]
        )


def drawn(random: np.random.Generator, callers: int, lift: float = 0.0) -> Drawn:
    """Some answers to each, a taste for clicking of their own, few conversions, skewed values.

    lift: relative, of clicks and of conversions.
    """
    answers_U = random.geometric(0.4, callers)
    taste_U = random.beta(0.6, 5.4, callers) * (1 + lift)
    clicked_U = random.binomial(answers_U, taste_U.clip(max=1))
    converted_U = random.random(callers) < _CONVERT * (1 + lift)
    value_U = converted_U * random.lognormal(3.0, 1.0, callers)
    return Drawn(answers_U, clicked_U, converted_U, value_U)


def same(random: np.random.Generator, callers: int, share: float) -> Alarms:
    """One A/A, looked at after each caller.

    What is declared is the service's own word, of the look at which a metric is farthest from zero.
    """
    columns_FU = drawn(random, callers).columns()
    to_canary_U = random.random(callers) < share
    arms_AFU = [np.cumsum(columns_FU * mine_U, axis=1) for mine_U in (~to_canary_U, to_canary_U)]
    bound_U = _bounds(callers)
    total_U = np.arange(1, callers + 1)
    ours = False
    for metric in METRICS:
        off_U = _errors_off(arms_AFU, metric) / np.sqrt(total_U) / bound_U
        worst = int(np.argmax(off_U))
        a, b = (_sums(arm_FU[:, worst]) for arm_FU in arms_AFU)
        difference = of_difference(a, b, metric)
        ours = ours or (difference is not None and difference.sign != 0)
    by_callers = bool((_errors_off(arms_AFU, "click_through") > _USUAL).any())
    return Alarms(ours, by_callers, bool((_errors_off_by_answers(arms_AFU) > _USUAL).any()))


@cache
def _bounds(callers: int) -> NDArray[np.float64]:
    """(U,): the margin after each caller, of a standard deviation of one."""
    return np.array([margin(t, 1.0) for t in range(1, callers + 1)])


def _errors_off(arms_AFU: Sequence[NDArray[np.float64]], metric: Metric) -> NDArray[np.float64]:
    """(U,): at each look, how many standard errors the difference is from zero; 0 for too few."""
    means, variances = [], []
    enough_U = np.ones(arms_AFU[0].shape[1], np.bool_)
    for callers, answers, clicked, converted, value, *more in arms_AFU:
        answers2, products, clicked2, value2, have_clicked, have_value = more
        with np.errstate(divide="ignore", invalid="ignore"):
            if metric == "click_through":
                mean_U = clicked / answers
                squares_U = clicked2 - 2 * mean_U * products + mean_U**2 * answers2
                variance_U, some_U = squares_U * callers / answers**2, have_clicked
            else:
                of, of2, some_U = (
                    (converted, converted, converted)
                    if metric == "conversion"
                    else (value, value2, have_value)
                )
                mean_U = of / callers
                variance_U = of2 / callers - mean_U**2
            means.append(mean_U)
            variances.append(variance_U / callers)
        enough_U = enough_U & (some_U >= FEWEST)
    return _off(means, variances, enough_U)


def _errors_off_by_answers(arms_AFU: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The same of click-through, as if answers to one caller had nothing to do with each other."""
    with np.errstate(divide="ignore", invalid="ignore"):
        means = [arm_FU[2] / arm_FU[1] for arm_FU in arms_AFU]
        variances = [m * (1 - m) / arm_FU[1] for m, arm_FU in zip(means, arms_AFU, strict=True)]
    enough_U = (arms_AFU[0][9] >= FEWEST) & (arms_AFU[1][9] >= FEWEST)
    return _off(means, variances, enough_U)


def _off(
    means: Sequence[NDArray[np.float64]],
    variances: Sequence[NDArray[np.float64]],
    enough_U: NDArray[np.bool_],
) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        off_U = np.abs(means[1] - means[0]) / np.sqrt(variances[0] + variances[1])
    return np.where(enough_U, off_U, 0.0)


def _sums(fields_F: NDArray[np.float64]) -> Sums:
    return Sums(*fields_F.tolist())


def until_decided(random: np.random.Generator, share: float, lift: float) -> dict[Metric, int]:
    """Callers until each metric is decided, looked at every 2%; _MOST where it is not."""
    fields_AF = np.zeros((2, len(fields(Sums))))
    found: dict[Metric, int] = {}
    callers = 0
    while callers < _MOST and len(found) < len(METRICS):
        come = max(_LOOK, callers // 50)
        callers += come
        to_canary = int(random.binomial(come, share))
        fields_AF[0] += drawn(random, come - to_canary).columns().sum(axis=1)
        fields_AF[1] += drawn(random, to_canary, lift).columns().sum(axis=1)
        a, b = map(_sums, fields_AF)
        for metric in METRICS:
            difference = of_difference(a, b, metric)
            if metric not in found and difference is not None and difference.sign:
                found[metric] = callers
    return {metric: found.get(metric, _MOST) for metric in METRICS}


def off(target: float) -> float:
    """How far the canary's share of 100,000 users is from its target: the worst of some names."""
    names: Mapping[str, Sequence[str]] = {
        "numbers": [str(n) for n in range(_USERS)],
        "padded": [f"user-{n:08}" for n in range(_USERS)],
        "addresses": [f"{n}@example.org" for n in range(_USERS)],
    }
    shares = [
        sum(place(key, salt) < target for key in keys) / _USERS
        for keys in names.values()
        for salt in ("9f1c", "03ab")
    ]
    return max(abs(share - target) for share in shares)


def main(
    trials: Annotated[int, typer.Option(help="A/A.")] = 1000,
    callers: Annotated[int, typer.Option(help="Of each A/A.")] = 60_000,
    repeats: Annotated[int, typer.Option(help="Of each canary that is better.")] = 20,
) -> None:
    """Print and write all of it."""
    lines = ["# Experiments", "", "`python -m benchmarks.experiments` writes this page.", ""]
    lines += _same(trials, callers) + _better(repeats) + _split()
    _REPORT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def _same(trials: int, callers: int) -> list[str]:
    lines = [
        f"## {trials:,} A/A of {callers:,} callers, looked at after each caller",
        "",
        "False alarms: anything declared that is not so. Ours may be wrong in any of "
        f"{len(METRICS)} metrics, in {1 - LEVEL:.0%} of all experiments; the usual intervals are "
        "95% as well, of click-through alone.",
        "",
        "| canary's share | ours | usual, by callers | usual, by answers |",
        "|---|---|---|---|",
    ]
    for share in _SHARES:
        random = np.random.default_rng(26)
        found = [same(random, callers, share) for _ in track(range(trials), f"A/A {share:.0%}")]
        cells = []
        for kind in Alarms._fields:
            hits = sum(getattr(alarms, kind) for alarms in found)
            low, high = binomtest(hits, trials).proportion_ci()  # exact: Clopper and Pearson
            cells.append(f"{hits / trials:.1%} [{low:.1%}, {high:.1%}]")
        lines.append(f"| {share:.0%} | {' | '.join(cells)} |")
    return [*lines, ""]


def _better(repeats: int) -> list[str]:
    lines = [
        f"## Callers until a canary that is better is decided: median of {repeats}",
        "",
        "Click-through 10% and conversion 3%, both better by so much; looked at every 2% more. "
        "`>`: not within so many.",
        "",
        "| better by | canary's share | click-through | conversion | value |",
        "|---|---|---|---|---|",
    ]
    for lift in (0.05, 0.1, 0.2):
        for share in _SHARES:
            random = np.random.default_rng(26)
            told = f"+{lift:.0%} {share:.0%}"
            found = [until_decided(random, share, lift) for _ in track(range(repeats), told)]
            cells = [_callers([each[metric] for each in found]) for metric in METRICS]
            lines.append(f"| {lift:.0%} | {share:.0%} | {' | '.join(cells)} |")
    return [*lines, ""]


def _callers(found: list[int]) -> str:
    median = int(np.median(found))
    return f">{_MOST:,}" if median >= _MOST else f"{median:,}"


def _split() -> list[str]:
    lines = [
        f"## Split of {_USERS:,} users",
        "",
        "Farthest of six sets of names and canaries; chance: what a draw of each user would be off "
        "by, once in twenty.",
        "",
        "| canary's share | off by | chance |",
        "|---|---|---|",
    ]
    for target in _TARGETS:
        chance = _USUAL * sqrt(target * (1 - target) / _USERS)
        lines.append(f"| {target:.0%} | {off(target):.2%} | {chance:.2%} |")
    return lines


if __name__ == "__main__":
    typer.run(main)
