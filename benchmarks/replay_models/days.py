"""A part of a log, day by day."""

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from training import stage_files
from training.config import RunConfig
from training.data.histories import Histories, Part

DAY = 86_400


class Day(NamedTuple):
    """Events of a day, in order: whose, of what, when, and where in all histories they are."""

    user_E: NDArray[np.int64]
    item_E: NDArray[np.int64]
    time_E: NDArray[np.int64]
    at_E: NDArray[np.int64]


def by_day(config: RunConfig) -> tuple[Histories, list[Day]]:
    """All histories, whose ``parts`` are 0 before the test part, then count its days; the days."""
    data = stage_files.data(config)
    time_J, whole = data.times(), data.histories
    part_J = whole.parts == Part.TEST
    dates, place = np.unique(time_J[part_J] // DAY, return_inverse=True)
    parts = np.zeros(len(time_J), np.uint8)
    parts[part_J] = 1 + place
    histories = dataclasses.replace(whole, parts=parts)
    user_J = histories.users()
    days = []
    for number in range(1, len(dates) + 1):
        at = np.flatnonzero(parts == number)
        at = at[np.argsort(time_J[at], kind="stable")]
        days.append(Day(user_J[at], histories.items[at].astype(np.int64), time_J[at], at))
    return histories, days


def up_to(histories: Histories, night: int) -> Histories:
    """What is known after so many days of the test part."""
    return histories.up_to(cast(Part, night))


def history_of(histories: Histories, day: Day, at: int) -> list[int]:
    """What the user of an event had before it."""
    own: list[int] = histories.items[histories.offsets[day.user_E[at]] : day.at_E[at]].tolist()
    return own


def to_rank(
    config: RunConfig, histories: Histories, day: Day
) -> Iterator[tuple[int, int, list[int]]]:
    """Where each event is in its day, its item, the history: of those that are ranked."""
    for at, item in enumerate(day.item_E.tolist()):
        history = history_of(histories, day, at)
        if history and not (config.filter_seen and item in history):
            yield at, item, history
