from pathlib import Path

import pytest

from training.errors import UserError
from training.report import collect
from training.report.facts import Evaluation, Fitted


def test_what_another_release_left_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    path.write_text('{"users": 3, "models": 4}')
    with pytest.raises(
        UserError, match=r"evaluation\.json was left by another release .*gain"
    ) as e:
        collect.read(path, Evaluation)
    assert "`bbqrec-train run`" in str(e.value)
    assert "\n" not in str(e.value)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"fitted\.json cannot be read: No such file"):
        collect.read(tmp_path / "fitted.json", Fitted)


def test_curves_of_a_run_that_went_on_are_one(tmp_path: Path) -> None:
    """What the second part did again counts; empty cells do not; parts come by number."""
    for part, rows in {"2": "0,1.0,\n1,,0.2\n1,2.0,\n", "10": "1,3.0,0.4\n2,4.0,0.5\n"}.items():
        folder = tmp_path / "curves" / f"version_{part}"
        folder.mkdir(parents=True)
        (folder / "metrics.csv").write_text(f"epoch,loss,score\n{rows}")
    loss, score = collect.curves(tmp_path, ("loss", "score", "absent"))
    assert loss.points == ((1, 1.0), (2, 3.0), (3, 4.0))
    assert score.points == ((2, 0.4), (3, 0.5))
    assert collect.curves(tmp_path / "nowhere", ("loss",)) == ()
