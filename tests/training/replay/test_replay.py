"""The log is read as the service stores it; what it cannot tell is refused, and why is said."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from models.contract import bundle as bundles
from models.contract.bundle import Bundle
from service.events import table
from service.events.record import Shown
from service.events.table import Table
from tests.service.events.made import NOON, answer, event
from training.data.histories import Windows
from training.errors import UserError
from training.evaluate.served import ServedRanker
from training.replay.replay import matched, with_history
from training.replay.shown import read_done, rewarded, shown


def stored(folder: Path, *answers: Shown) -> Path:
    Table(folder, ["recommendation_id", "position"]).add(table.shown(answers))
    return folder


def refused(folder: Path) -> str:
    with pytest.raises(UserError) as refusal:
        shown(folder)
    return str(refusal.value)


def test_a_log_without_odds_is_refused(tmp_path: Path) -> None:
    folder = stored(tmp_path / "shown", answer("1", "ada", "a", "b"))
    assert "has no odds" in refused(folder)
    for file in folder.rglob("*.parquet"):  # of a release before there were any
        pl.read_parquet(file).drop("odds").write_parquet(file)
    assert "has no odds" in refused(folder)


def test_a_log_without_chance_is_refused(tmp_path: Path) -> None:
    folder = stored(tmp_path / "shown", answer("1", "ada", "a", "b", odds=[1.0, 1.0]))
    assert "with certainty" in refused(folder)


@pytest.mark.parametrize("odds", [0.0, -0.5, 1.5])
def test_odds_that_are_none_are_refused_by_the_answer_s_name(tmp_path: Path, odds: float) -> None:
    folder = stored(tmp_path / "shown", answer("r-17", "ada", "a", "b", odds=[0.5, odds]))
    assert "r-17" in refused(folder)


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    assert "no Parquet file" in refused(tmp_path)
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "a.parquet")
    assert "recommendation_id" in refused(tmp_path)


def test_slots_that_chance_filled_are_kept_and_what_came_of_them(tmp_path: Path) -> None:
    folder = stored(
        tmp_path / "shown",
        answer("1", "ada", "a", "b", "c", odds=[1.0, 0.25, 0.5]),
        answer("2", None, "a", odds=[0.5]),
        answer("3", "ada", "d", odds=[0.5], after="1"),
        answer("4", "ada", "a"),
    )
    events = [
        event("1", item_id="b", recommendation_id="1"),
        event("2", item_id="b", recommendation_id="1"),
        event("3", item_id="c"),
        event("4", item_id="c", recommendation_id="1", type="purchase"),
    ]
    Table(tmp_path / "done", ["source", "id"]).add(table.done(events))
    found = rewarded(shown(folder), read_done(tmp_path / "done"), ["click"])
    columns = found.select("recommendation_id", "item_id", "position", "odds", "reward")
    assert columns.rows() == [("1", "b", 2, 0.25, 1.0), ("1", "c", 3, 0.5, 0.0)]


@pytest.fixture(scope="module")
def bundle(two_bundles: Path) -> Bundle:
    return bundles.read(min((two_bundles / "bundles").iterdir()))


def best(bundle: Bundle, history: list[int], k: int) -> list[str]:
    """What it shows after a history, of which nothing is shown again."""
    ids = [item.item_id for item in bundle.catalogue]
    windows = Windows(np.zeros(1, np.int64), np.array([len(history)]))
    scores_N = ServedRanker(bundle, ids).score(np.array(history, np.int32), windows)[0]
    scores_N[history] = -np.inf
    return [ids[row] for row in np.argsort(-scores_N, kind="stable")[:k]]


def test_the_bundle_is_asked_what_it_shows_after_what_the_user_had_done(
    bundle: Bundle, tmp_path: Path
) -> None:
    """Not after what came later, nor after types that are no steps; a view and the purchase that it
    ends in are one.
    """
    histories = {"ada": [3, 9, 11], "bob": [20]}
    events = [
        event(f"{user}-{n}", user, f"item-{row}", time=NOON + n)
        for user, history in histories.items()
        for n, row in enumerate(history)
    ]
    events += [each._replace(id=f"{each.id}-again", type="purchase") for each in events]
    events += [
        event("later", "ada", "item-30", time=NOON + 200),
        event("other", "ada", "item-31", type="rating"),
        event("unknown", "ada", "no-such-item"),
    ]
    answers: list[Any] = [
        answer(user, user, *best(bundle, history, 4), odds=[0.5] * 4, time=NOON + 100)
        for user, history in histories.items()
    ]
    answers.append(answer("swapped", "bob", *reversed(best(bundle, [20], 4)), odds=[0.5] * 4))
    answers[-1] = answers[-1]._replace(time=NOON + 100)
    Table(tmp_path / "done", ["source", "id"]).add(table.done(events))
    slots = shown(stored(tmp_path / "shown", *answers))
    found = slots.with_columns(same=matched(bundle, slots, read_done(tmp_path / "done")))
    same = dict(found.group_by("recommendation_id").agg(pl.col("same")).rows())
    assert same == {"ada": [True] * 4, "bob": [True] * 4, "swapped": [False] * 4}


def test_nobody_counts_for_having_come_back(bundle: Bundle, tmp_path: Path) -> None:
    """Who did nothing before, or nothing with a known item, is left out, clicked or not."""
    users = {"before": -1, "after": 1, "unknown": -1}
    events = [
        event(user, user, "item-3" if user != "unknown" else "no-such", time=NOON + when)
        for user, when in users.items()
    ]
    answers = [answer(user, user, "item-9", odds=[0.5]) for user in (*users, "never")]
    answers = [each._replace(time=NOON) for each in answers]
    Table(tmp_path / "done", ["source", "id"]).add(table.done(events))
    slots = shown(stored(tmp_path / "shown", *answers))
    kept = with_history(slots, read_done(tmp_path / "done"), bundle)
    assert kept["user_id"].to_list() == ["before"]
