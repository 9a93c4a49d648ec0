"""What a person should look at, and do: a table of rules, each a function of the facts."""

from typing import get_args

from training.report.facts import Facts
from training.report.warnings import data, model
from training.report.warnings.notice import Level, Notice

RULES = (*data.RULES, *model.RULES)


def warnings(facts: Facts) -> tuple[Notice, ...]:
    """Those that are due, the gravest first."""
    found = filter(None, (rule(facts) for rule in RULES))
    order = get_args(Level)
    return tuple(sorted(found, key=lambda notice: order.index(notice.level)))
