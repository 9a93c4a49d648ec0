"""What is measured on a GPU runs on a CPU, too, so that it is ready when there is one."""

import json
from pathlib import Path

import pytest

from benchmarks.gpu import engine, http, rows
from benchmarks.gpu.__main__ import PARTS, main


def test_every_part_runs_and_its_rows_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in rows, engine:
        monkeypatch.setattr(module, "OUT", tmp_path)
    monkeypatch.setattr(rows, "TURNS", 1)
    monkeypatch.setattr(http, "_SECONDS", 1.0)
    main(device="cpu", parts=",".join(PARTS), small=True)
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert {*found[0]} == {"what", "size", "value", "unit", "floor", "goal", "met", "device"}
    what = {row["what"] for row in found}
    assert {"failed while another recorded", "wrong after tables grew"} <= what
    assert {"exact top-100", "engine, best 100", "training, like Beauty", "over HTTP"} <= what
    assert "aten::topk" in (tmp_path / "gpu-profile-32.txt").read_text()
    assert all(
        row["value"] == 0
        for row in found
        if row["what"].startswith(("lost", "other", "wrong", "failed"))
    )
    assert all(row["value"] > 0 for row in found if row["unit"].endswith("a second"))
    assert "stand-in" in (tmp_path / "gpu.md").read_text()


def test_a_rate_meets_its_goal_from_above_and_a_time_from_below() -> None:
    assert rows.Row("", "", 5.0, "requests a second", goal=4.0).met is True
    assert rows.Row("", "", 5.0, "ms", goal=4.0).met is False
    assert rows.Row("", "", 5.0, "ms").met is None
