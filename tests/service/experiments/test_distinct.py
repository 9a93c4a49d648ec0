"""Distinct items: exact while they are few, near it when they are many, comparable throughout."""

import numpy as np
import pytest

from service.experiments import distinct
from service.experiments.distinct import Distinct


def test_few_are_counted_and_many_estimated_in_bounded_memory() -> None:
    shown = Distinct()
    for n in range(4000):
        shown.add([f"item-{n}", "item-0"])
    assert (shown.slots, shown.items()) == (8000, 4000)
    for n in range(4000, 60_000):
        shown.add([f"item-{n}"])
    assert len(shown.counts) <= distinct.MOST
    assert shown.items() == pytest.approx(60_000, rel=0.06)


def test_in_as_many_slots_both_show_as_many() -> None:
    """One with nine tenths of the answers shows more items, and not in as many slots."""
    random = np.random.default_rng(0)
    weight = 1 / np.arange(1, 2001)
    ids = np.array([f"item-{n}" for n in range(2000)])
    few, many = Distinct(), Distinct()
    for shown, slots in ((few, 2000), (many, 18_000)):
        shown.add(random.choice(ids, slots, p=weight / weight.sum()).tolist())
    assert many.items() > 1.5 * few.items()
    assert many.items_in(2000) == pytest.approx(few.items(), rel=0.05)
    assert few.items_in(2000) == few.items()
