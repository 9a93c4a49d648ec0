"""The gate: what was just trained goes live only if it is as good as what serves.

Both are asked about the newest of the test part: what users did after the last event that the
bundle in service was made of. Neither has seen it, so it is what the next days would have been.
"""

from typing import NamedTuple

import numpy as np
import polars as pl

from models.contract import bundle as bundles
from models.contract.bundle import FILES
from models.contract.store import BundleStore
from training import stage_files
from training.config import RunConfig
from training.data import dataset
from training.data.histories import Part, targets
from training.evaluate.ranking import ndcg
from training.evaluate.report import CUTOFF
from training.evaluate.served import ServedRanker
from training.run.evaluate import ours

FEWEST = 100  # events that tell one from the other


class Verdict(NamedTuple):
    """Whether it may go live, why, and the figures, where both could be asked."""

    passed: bool
    why: str
    events: int = 0
    candidate: float | None = None
    served: float | None = None


def judge(config: RunConfig, margin: float) -> Verdict:
    """Of the stages up to ``evaluate``, beside the bundle that is current.

    margin: share of NDCG@10 that may be lost.
    """
    serving = BundleStore(config.output).find("current")
    if serving is None:
        return Verdict(True, "nothing serves yet")
    bundle = bundles.read(serving, FILES.MAPPED)
    until = bundle.manifest.split.get("until")
    data = stage_files.data(config)
    test = targets(data.histories, Part.TEST, repeats=not config.filter_seen)
    log = pl.read_parquet(config.output / "prepare" / dataset.INTERACTIONS, columns=["timestamp"])
    if until is None or not data.card.split.timed:
        return _beside_baselines(config, margin, "it is not known what is newer than what serves")
    time = log["timestamp"].to_numpy()[test.start + test.length]
    newer = test.take(np.flatnonzero(time > until))
    events = len(newer.target)
    if events < FEWEST:
        return _beside_baselines(config, margin, f"only {events} events are newer than what serves")
    ids = data.items["item_id"].to_list()
    candidate, served = (
        ndcg(ranker, newer, len(ids), config.filter_seen)
        for ranker in (ours(config), ServedRanker(bundle, ids))
    )
    passed = candidate >= (1 - margin) * served
    why = f"NDCG@10 {candidate:.4f}, what serves {served:.4f}, of {events:,} events newer than it"
    return Verdict(passed, why, events, candidate, served)


def _beside_baselines(config: RunConfig, margin: float, because: str) -> Verdict:
    """Where what serves cannot be asked: no worse than what needs no training."""
    evaluation = stage_files.read_json(config.output / "evaluate" / stage_files.EVALUATION)
    found = {name: row[f"ndcg@{CUTOFF}"] for name, row in evaluation["models"].items()}
    mine = found.pop("bbqrec")
    best = max(found, key=lambda name: found[name])
    why = f"{because}; NDCG@10 {mine:.4f}, {best} {found[best]:.4f}"
    return Verdict(mine >= (1 - margin) * found[best], why)
