import io

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from models.contract.types import FloatArray
from tests.training.small import all_learned
from training.data.histories import Part, Windows
from training.data.new_items import NewItems
from training.evaluate.new_items import CUTOFFS, NewItemsTable
from training.evaluate.report import EvaluationTable


def report(ours: float) -> EvaluationTable:
    models = {
        "popularity": {"ndcg@10": 0.1},
        "item-knn": {"ndcg@10": 0.2},
        "bbqrec": {"ndcg@10": ours},
    }
    return EvaluationTable(models, users=7, left_out=3, protocol="strict", knn_decay=0.6)


def printed(table: EvaluationTable) -> str:
    console = Console(file=io.StringIO(), force_terminal=True, width=80, color_system="standard")
    table.print(console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_model_that_loses_to_a_baseline_says_so_in_red() -> None:
    text = printed(report(0.15))
    assert "LOSES to a baseline" in text
    assert "\x1b[1;31m" in text
    assert report(0.15).as_json()["loses_to_baseline"] is True


def test_a_model_that_wins_says_by_how_much() -> None:
    text = printed(report(0.25))
    assert "+25.0% against item-knn" in text
    assert "31m" not in text
    assert report(0.25).as_json()["best_baseline"] == "item-knn"


def test_a_tie_is_a_loss() -> None:
    assert report(0.2).loses()


def test_the_table_of_new_items_fits_a_terminal_and_names_what_is_taken() -> None:
    names = ("content-knn-decayed", "bbqrec")
    figures = {f"new recall@{k}": 0.1 for k in CUTOFFS} | {"mixed ndcg@10": 0.2, "new shown": 0.05}
    table = NewItemsTable(dict.fromkeys(names, figures), cold=12, mixed=345, taken=0.067)
    console = Console(file=io.StringIO(), width=80)
    table.print(console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    for said in (*names, "345 events", "6.7%", "12 events"):
        assert said in text
    assert "…" not in text
    assert table.as_json()["models"]["bbqrec"]["new shown"] == 0.05


def test_the_table_of_new_items_by_hand() -> None:
    """Of sixty items 15 and 58 are new, nobody uses 7, and the lower an item the better."""

    class Lowest:
        def score(self, items: NDArray[np.int32], windows: Windows) -> FloatArray:
            return np.tile(-np.arange(60, dtype=np.float32), (len(windows.start), 1))

    others = [n for n in range(60) if n not in (7, 15, 58)]
    flow = all_learned([[0, 1, 15, 1], [2, 3, 58], [4, 5, 6], others])
    flow.parts[[2, 3, 6, 9]] = Part.TEST  # one of which is had again, and left out
    table = NewItemsTable.of({"lowest": Lowest()}, NewItems.as_they_came(flow, 60), True)
    assert (table.cold, table.mixed) == (2, 3)
    assert table.taken == pytest.approx(2 / 3)
    assert table.models["lowest"] == {  # ranks of new items: 14 and 57; of the known one: 5
        "new recall@10": 0,
        "new recall@20": 0.5,
        "new recall@50": 0.5,
        "mixed ndcg@10": pytest.approx(1 / np.log2(6) / 3),
        "new shown": pytest.approx(0.1),
    }
    assert table.intervals["lowest"]["new recall@10"] == (0, 0)
    low, high = table.intervals["lowest"]["new recall@20"]
    assert low < 0.5 < high
