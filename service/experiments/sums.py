"""Sums over callers: what is left of many once each has been observed, and what they come to.

Who is given which variant is decided by the caller, so a caller is what is independent: answers to
one are alike, and to count each of them would make intervals too narrow. Means of what callers did
have their plain variance; click-through, clicked answers over answers, has that of the ratio by the
delta method (Deng, Knoblich and Lu, 2018, "Applying the delta method in metric analytics").
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

Metric = Literal["click_through", "conversion", "value"]
METRICS: tuple[Metric, ...] = get_args(Metric)


class Observed(NamedTuple):
    """What one caller was answered and did about it, from the first answer to a window's end."""

    answers: int
    clicked: int  # answers, of which at least one item was clicked
    converted: bool
    value: float


class Estimate(NamedTuple):
    """Of a metric. variance: that of one caller's part in it. some: callers of whom it is not 0."""

    mean: float
    variance: float
    some: int


@dataclass(slots=True)
class Sums:
    """Of a variant; squares and products are for variances."""

    callers: int = 0
    answers: int = 0
    clicked: int = 0
    converted: int = 0
    value: float = 0.0
    answers_squared: int = 0
    answers_clicked: int = 0
    clicked_squared: int = 0
    value_squared: float = 0.0
    have_clicked: int = 0
    have_value: int = 0

    def add(self, observed: Observed) -> None:
        """One caller more."""
        answers, clicked, converted, value = observed
        self.callers += 1
        self.answers += answers
        self.clicked += clicked
        self.converted += converted
        self.value += value
        self.answers_squared += answers * answers
        self.answers_clicked += answers * clicked
        self.clicked_squared += clicked * clicked
        self.value_squared += value * value
        self.have_clicked += clicked > 0
        self.have_value += value != 0

    def estimate(self, metric: Metric) -> Estimate | None:
        """None where nobody has been observed yet."""
        if self.callers == 0:
            return None
        match metric:
            case "click_through":
                return self._click_through()
            case "conversion":
                mean = self.converted / self.callers
                return Estimate(mean, mean * (1 - mean), self.converted)
            case "value":
                mean = self.value / self.callers
                variance = max(self.value_squared / self.callers - mean * mean, 0.0)
                return Estimate(mean, variance, self.have_value)

    def _click_through(self) -> Estimate:
        """A caller's part in the ratio R is (clicked - R answers) / mean answers."""
        ratio, mean_answers = self.clicked / self.answers, self.answers / self.callers
        squares = (
            self.clicked_squared
            - 2 * ratio * self.answers_clicked
            + ratio * ratio * self.answers_squared
        )
        variance = max(squares, 0.0) / self.callers / mean_answers**2
        return Estimate(ratio, variance, self.have_clicked)
