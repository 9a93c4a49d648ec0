"""The gate: what was just trained goes live only if it is not shown to be worse than what serves.

Two bundles, the new one as it would serve, are asked about the newest events, which neither has
learned: what they would have met had they been serving then.
"""

import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.contract import bundle as bundles
from models.contract.bundle import FILES, Bundle
from training import stage_files
from training.config import RunConfig
from training.data.batches import Batch, gather
from training.data.dataset import PreparedDataset
from training.data.histories import Part, Windows, targets
from training.evaluate.intervals import gain
from training.evaluate.ranking import Task, ndcg_of, rank
from training.evaluate.report import CUTOFF, HEADLINE, OURS
from training.evaluate.served import ServedRanker
from training.export.onnx_ranker import OnnxRanker

FEWEST = 100  # events that tell one from the other
_SHARE = 5  # of what is new, one in so many events is not learned, to judge by
_SLOWEST = 2.0  # times what serves may a new one take for an answer
_FEWEST_CODES = 0.5  # of the codes that are in use in what serves, by level
_HISTORIES, _TIMES = 32, 30  # that are timed together, and how often


class Verdict(NamedTuple):
    """Whether it may go live, why, and the figures, where both could be asked.

    events: that both were asked about. low, high: 95% interval of the change in NDCG@10.
    """

    passed: bool
    why: str
    events: int = 0
    candidate: float | None = None
    served: float | None = None
    low: float | None = None
    high: float | None = None


def hold_out(config: RunConfig, data: PreparedDataset, until: int | None) -> RunConfig:
    """The run whose bundle can be judged: the newest of what came after ``until`` stays unlearned.

    ``until``: the last that what serves has learned, unix s. Where too little came, or there are no
    times, all is learned: the same run.
    """
    if until is None or not data.card.split.timed:
        return config
    times_J = np.sort(data.times())
    new = int((times_J > until).sum())
    if new < 2 * FEWEST:
        return config
    split = {"kind": "temporal", "test_from": int(times_J[-max(FEWEST, new // _SHARE)])}
    return config.model_copy(
        update={
            "split": config.split.model_copy(update=split),
            "fit": config.fit.model_copy(update={"learn_test": False}),
        }
    )


def judge(config: RunConfig, candidate: Path, serving: Path | None, margin: float) -> Verdict:
    """Of a bundle beside the one that serves, after the whole run of ``config``.

    margin: share of NDCG@10 that it may cost.
    """
    if serving is None:
        return Verdict(True, "nothing serves yet")
    new, old = (bundles.read(path, FILES.MAPPED) for path in (candidate, serving))
    if fault := _unhealthy(new, old):
        return Verdict(False, fault)
    if config.fit.learn_test:
        return _beside_baselines(config, margin)
    data = stage_files.data(config)
    newest = targets(data.histories, Part.TEST, filter_seen=config.filter_seen, every=True)
    ids = data.items["item_id"].to_list()
    ours, theirs = ServedRanker(new, ids), ServedRanker(old, ids)
    if (times := _slower(new, old, newest.length[:_HISTORIES])) > _SLOWEST:
        return Verdict(False, f"its model takes {times:.1f} times as long as what serves")
    task = Task(newest, len(ids), config.filter_seen)
    mine_E, theirs_E = (rank(ranker, task).rank_E for ranker in (ours, theirs))
    mine, served, events = ndcg_of(mine_E), ndcg_of(theirs_E), len(mine_E)
    why = f"NDCG@{CUTOFF} {mine:.4f}, what serves {served:.4f}, of the newest {events:,} events"
    change = gain(mine_E, theirs_E, newest.user)
    if change is None:  # what serves finds next to nothing
        return Verdict(mine >= served, why, events, mine, served)
    why += f": {change.value:+.1%} [{change.low:+.1%}, {change.high:+.1%}]"
    passed = change.high >= -margin
    return Verdict(passed, why, events, mine, served, change.low, change.high)


def explained(verdict: Verdict, config: RunConfig, serving: Path | None) -> Verdict:
    """With why it goes live where ``evaluate`` said not to, as a baseline is ahead: both are right.

    Of a bundle that ``evaluate`` has seen.
    """
    evaluation = stage_files.read_json(config.output / "evaluate" / stage_files.EVALUATION)
    if not evaluation["loses_to_baseline"]:
        return verdict
    best, models = evaluation["best_baseline"], evaluation["models"]
    beside = "what serves is not shown to be better" if serving else "there is nothing else"
    all_the_same = (
        f". On the test part {best} is ahead of it ({models[best][HEADLINE]:.4f} against "
        f"{models[OURS][HEADLINE]:.4f}); it goes live all the same, for no baseline can serve, "
        f"and {beside}: more data or other settings are wanted"
    )
    return verdict._replace(why=verdict.why + all_the_same)


def _unhealthy(new: Bundle, old: Bundle) -> str | None:
    """What is wrong with its codes, beside those that serve."""
    mine, theirs = new.manifest.health, old.manifest.health
    for name, used in theirs.items():
        if name.startswith("level_") and name.endswith("/used"):
            found = mine.get(name, used)
            if found < _FEWEST_CODES * used:
                return f"{name}: {found:.0%} of the codes, {used:.0%} in what serves"
    return None


def _slower(new: Bundle, old: Bundle, length_B: NDArray[np.int64]) -> float:
    """How many times as long the new graph takes for histories of these lengths.

    On one core, in seconds of it: by the clock, whatever else the machine has to do would tell.
    """
    seconds: tuple[list[float], list[float]] = [], []
    graphs = [(OnnxRanker.of(bundle, threads=1), _blank(bundle, length_B)) for bundle in (new, old)]
    for _ in range(_TIMES):
        for (graph, batch), taken in zip(graphs, seconds, strict=True):
            began = time.thread_time()
            graph.encode(batch)
            taken.append(time.thread_time() - began)
    return min(seconds[0]) / min(seconds[1])


def _blank(bundle: Bundle, length_B: NDArray[np.int64]) -> Batch:
    """Histories of the first item alone: what it is makes no difference to what it takes."""
    most = bundle.manifest.architecture.max_history
    windows = Windows(np.zeros_like(length_B), np.minimum(length_B, most))
    return gather(np.zeros(most, np.int32), windows)


def _beside_baselines(config: RunConfig, margin: float) -> Verdict:
    """Where what serves cannot be asked: no worse than what needs no training."""
    evaluation = stage_files.read_json(config.output / "evaluate" / stage_files.EVALUATION)
    models, best = evaluation["models"], evaluation["best_baseline"]
    mine, theirs = models[OURS][HEADLINE], models[best][HEADLINE]
    why = (
        "too few events, or of no known time, are newer than what serves; "
        f"NDCG@{CUTOFF} {mine:.4f}, {best} {theirs:.4f}, of which it may lack {margin:.0%}"
    )
    return Verdict(mine >= (1 - margin) * theirs, why)
