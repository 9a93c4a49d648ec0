"""What is measured on a GPU runs on a CPU, too, so that it is ready when there is one."""

import json
from pathlib import Path

import pytest

from benchmarks import gpu


def test_every_part_runs_and_its_rows_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "_OUT", tmp_path)
    monkeypatch.setattr(gpu, "_TURNS", 1)
    gpu.main(device="cpu", parts=",".join(gpu.PARTS), small=True)
    rows = json.loads((tmp_path / "gpu.json").read_text())
    assert {*rows[0]} == {"what", "size", "value", "unit", "floor", "goal", "met", "device"}
    what = {row["what"] for row in rows}
    assert {"exact top-100", "engine, best 100", "training, like Beauty"} <= what
    assert "aten::topk" in (tmp_path / "gpu-profile-32.txt").read_text()
    assert all(row["value"] == 0 for row in rows if row["what"].startswith(("lost", "other")))
    assert "stand-in" in (tmp_path / "gpu.md").read_text()
