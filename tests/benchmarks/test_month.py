"""The shop of a month drifts as it is said to, and what is written of it is what was found."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.month import report
from benchmarks.month.serving import WAYS
from benchmarks.month.shop import Drift, Shop


def test_items_come_and_go_and_are_wanted_while_they_are_there() -> None:
    shop = Shop(0, days=30, users=20, items=100, drift=Drift())
    for _ in range(30):
        before = shop.there_I.copy()
        new, gone = shop.next_day()
        assert (len(new), len(gone), shop.there_I.sum()) == (2, 2, 100)
        assert not before[new].any()
        assert before[gone].all()
    chances_I = shop.chances(0, [int(np.flatnonzero(shop.there_I)[0])])
    assert (chances_I[~shop.there_I] == 0).all()
    assert chances_I[np.flatnonzero(shop.there_I)[0]] == 0, "they have it"
    assert ((chances_I > 0) & (chances_I < 0.9)).sum() == 99
    assert set(shop.gone()) == set(np.flatnonzero(~shop.there_I))


def test_what_follows_changes_by_the_week() -> None:
    shop = Shop(0, days=8, users=5, items=50, drift=Drift())
    first = shop.follows_G.copy()
    for _ in range(6):
        shop.next_day()
    assert (shop.follows_G == first).all()
    shop.next_day()
    assert (shop.follows_G != first).sum() == 2


def test_the_table_is_of_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[dict[str, Any]] = [
        {
            **{"seed": seed, "way": way, "day": day, "gone": 0.0, "new": 0.1, "best_new": 0.2},
            "share": 0.5 if way == "loop" else 0.5 - day / 100,
            "night": {"passed": day % 2 == 0} if way == "loop" else {},
        }
        for seed in range(2)
        for way in WAYS
        for day in range(1, 31)
    ]
    report.report(json.loads(json.dumps(rows)), tmp_path)
    lines = (tmp_path / "month.md").read_text().splitlines()
    loop = next(line for line in lines if line.startswith("| loop"))
    static = next(line for line in lines if line.startswith("| static"))
    assert loop.endswith("| 50% (50% to 50%) | 100% (100% to 100%) |")
    assert static.endswith("| 24% (24% to 24%) | 48% (48% to 48%) |")
    assert "Of 60 nights the gate let 30 through" in " ".join(lines)
    assert (tmp_path / "month.png").stat().st_size > 10_000
