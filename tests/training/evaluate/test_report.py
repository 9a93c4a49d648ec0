import io

from rich.console import Console

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
