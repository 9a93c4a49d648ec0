"""``python -m benchmarks.accuracy.borrowing``: the share that items borrow, swept on validation.

Borrowing comes after training, so one trained model shows all shares. The test part is not seen.
"""

from collections.abc import Iterator
from typing import Annotated

import numpy as np
import typer

from benchmarks.accuracy import jobs, work
from benchmarks.accuracy.statistics import accuracy
from benchmarks.accuracy.store import Job
from benchmarks.accuracy.tables import markdown
from benchmarks.accuracy.trials import Trials
from models import bundle
from models.sequence import SequenceModel
from training import outputs
from training.borrowing import borrow
from training.config import FitConfig
from training.encoders.encode import load_content
from training.evaluate import SequenceRanker, rank

MODEL = "bbqrec-without-borrowing"  # seed 1 of the table's, strict
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
RARE = 4  # interactions in the training part, at most
REPORT = work.DOCS / "borrowing.md"
_HEAD = f"""# Borrowing

Made by `python -m benchmarks.accuracy.borrowing`: validation NDCG@10 of {MODEL},
strict, seed 1, when its items borrow this share of what they resemble (docs/method.md 3), and of
those users whose held-out item training saw never (new), or at most {RARE} times (rare). The
default was chosen here: {FitConfig().borrowing:g}. The test part is not looked at.
"""


def main(
    datasets: Annotated[str, typer.Option("--dataset")] = "beauty,sports,toys,ml1m",
) -> None:
    """Write docs/benchmarks/borrowing.md, from weights that ``benchmarks.accuracy`` left here."""
    header = ["data set", "share", "all", "new", "rare", "others"]
    rows = [row for dataset in datasets.split(",") for row in _sweep(dataset)]
    REPORT.write_text(f"{_HEAD}\n{markdown(header, rows)}", encoding="utf-8")
    work.console.print(f"wrote {REPORT}")


def _sweep(dataset: str) -> Iterator[list[str]]:
    config, job = work.configuration(dataset), Job(dataset, MODEL, 1, "strict")
    config = jobs.configured(job, config, Trials(work.TRIALS).choose(dataset, MODEL).settings)
    directory, done = jobs.left_by(job, work.WORKSHOP), work.WORKSHOP.store.read(job)
    if not (done and directory):
        raise typer.BadParameter(f"{job} was not trained here: python -m benchmarks.accuracy does")
    table, _ = outputs.semantic_ids(work.WORKSHOP.scratch / done.facts["codes"])
    content_ND = load_content(config.output / "encode", len(table))
    known, held_out = jobs.known_to("strict", config), jobs.validation_set(config)
    count_E = np.bincount(known.items, minlength=len(table))[held_out.target]
    users = {
        "all": count_E >= 0,
        "new": count_E == 0,
        "rare": (count_E > 0) & (count_E <= RARE),
        "others": count_E > RARE,
    }
    for share in SHARES:
        architecture = outputs.architecture(config, table)
        model = SequenceModel.load(directory / bundle.FILES.WEIGHTS, architecture)
        borrow(model, table, content_ND, known, share)
        ranker = SequenceRanker(model, table.codes_NS)
        ranking = rank(ranker, held_out, len(table), config.evaluate.filter_seen, top=0)
        ndcg_E = accuracy(ranking.rank_E)["ndcg@10"]
        means = [f"{ndcg_E[u].mean():.4f} ({u.sum():,})" if u.any() else "" for u in users.values()]
        yield [dataset, f"{share:g}", *means]
        work.console.print(dataset, share, *means, highlight=False)


if __name__ == "__main__":
    typer.run(main)
