"""``python -m benchmarks.replay_models CONFIG``: is it worth training every night?

All of a log up to its test part is known before. Each day's events are ranked by what was trained
on all before that day, and told to those who listen. Settings, epochs and the memory's recipe are
chosen on validation, once. Days that are done are kept, and not done again.

*warm*: the model of the day before goes on for an epoch, over everything; codes stay as they were
first made, those of items that had no clicks then included. *anew*: codes, model and memory are
made from nothing. Both count the memory anew.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, cast

import numpy as np
import polars as pl
import typer
from numpy.typing import NDArray

from benchmarks.replay import Counted, Listener, Live, Popular, Standing, ndcg, report
from benchmarks.replay_models.days import DAY, Day, by_day, history_of, to_rank, up_to
from benchmarks.replay_models.nights import Nights, Trained
from models.contract.types import FloatArray
from training import stage_files
from training.config import RunConfig, load
from training.data import dataset
from training.data.histories import Histories, Part, targets
from training.evaluate.baselines import ItemKnn, choose_decay, item_similarity
from training.evaluate.ranking import Task
from training.run.pipeline import Pipeline
from training.run.stages import STAGES

_LIVE = "static, live memory"


def main(
    config: Annotated[Path, typer.Argument(help="A run's TOML file, of a split in time.")],
    work: Annotated[Path, typer.Option(help="Folder of what is trained, and of days done.")],
    days: Annotated[int | None, typer.Option(min=1, help="The first ones alone.")] = None,
) -> None:
    """Print and write NDCG@10 of all days, and of each."""
    asked = load(config)
    asked = asked.model_copy(update={"output": work, "loggers": ()})
    Pipeline(asked, STAGES).complete(print, "prepare", "encode", "quantize", "fit")
    done = [*itertools.islice(replay(asked, work / "nights"), days)]
    found = {name: np.concatenate([gains[name] for gains in done]) for name in done[0]}
    day, user = found.pop("day"), found.pop("user")
    report(f"models-{asked.name}", found, day.astype(np.int64), user.astype(np.int64), "static")


def replay(config: RunConfig, work: Path) -> Iterator[dict[str, NDArray[np.float64]]]:
    """NDCG@10 of every event by who ranked it, its day and its user: a day at a time."""
    histories, days = by_day(config)
    nights = Nights(config, work)
    first = nights.anew(up_to(histories, 0), 0)
    listeners = _listeners(config, histories, first)
    for night, day in enumerate(days):
        kept = work / f"day-{night}.npz"
        if not kept.exists():
            so_far = up_to(histories, night)
            models = {
                "static": first,
                "warm every night": nights.warm(so_far, night) if night else first,
                "anew every night": nights.anew(so_far, night) if night else first,
            }
            np.savez(kept, **cast(Any, _by_models(config, histories, day, models)))
        found = _by_listeners(config, histories, day, listeners, first) | dict(np.load(kept))
        means = {name: round(float(gain.mean()), 4) for name, gain in found.items()}
        print(night, means, flush=True)
        yield found


def _listeners(config: RunConfig, histories: Histories, first: Trained) -> dict[str, Listener]:
    """What is not trained, and what hears of every event."""
    data, new, before = stage_files.data(config), config.filter_seen, up_to(histories, 0)
    size = data.card.items
    log = pl.read_parquet(config.output / "prepare" / dataset.INTERACTIONS).sort("timestamp")
    known = log.filter(pl.col("part") < Part.TEST).select("item_index", "timestamp").iter_rows()
    similarity_NN = item_similarity(before, size, filter_seen=new)
    validation = Task(targets(data.histories, Part.VALIDATION, filter_seen=new), size, new)
    decay = choose_decay(lambda d: ItemKnn(similarity_NN, d), validation)
    found: dict[str, Listener] = {
        "popular, 7 days": Popular(known, size),
        "item-kNN, decayed": Standing(ItemKnn(similarity_NN, decay)),
    }
    if first.memory is not None:  # be it one that weighs what is heard, and knows nothing else
        found[_LIVE] = Live(first.memory)
    return found


def _by_models(
    config: RunConfig, histories: Histories, day: Day, models: dict[str, Trained]
) -> dict[str, NDArray[np.float64]]:
    gains: dict[str, list[float]] = {}
    learned = {name: model.scores(histories, day) for name, model in models.items()}
    for at, item, history in to_rank(config, histories, day):
        for name, model in models.items():
            scores_N = learned[name][at]
            if model.memory is not None:
                scores_N = scores_N + Counted(model.memory).scores(history)
            gains.setdefault(name, []).append(_ranked(config, scores_N, history, item))
    return {name: np.array(gain) for name, gain in gains.items()}


def _by_listeners(
    config: RunConfig,
    histories: Histories,
    day: Day,
    listeners: dict[str, Listener],
    model: Trained,
) -> dict[str, NDArray[np.float64]]:
    """Each event is ranked, then told; what is counted live is added to the model's scores."""
    gains: dict[str, list[float]] = {}
    learned_EN = model.scores(histories, day)
    asked = {at for at, _, _ in to_rank(config, histories, day)}
    for at, item in enumerate(day.item_E.tolist()):
        history = history_of(histories, day, at)
        for name, listener in listeners.items():
            if at in asked:
                scores_N = listener.scores(history)
                scores_N = scores_N + learned_EN[at] if name == _LIVE else scores_N
                gains.setdefault(name, []).append(_ranked(config, scores_N, history, item))
            listener.hear([*history, item], int(day.time_E[at]))
        if at in asked:
            gains.setdefault("day", []).append(float(day.time_E[at] // DAY))
            gains.setdefault("user", []).append(float(day.user_E[at]))
    return {name: np.array(gain) for name, gain in gains.items()}


def _ranked(config: RunConfig, scores_N: FloatArray, history: list[int], item: int) -> float:
    if config.filter_seen:
        scores_N[history] = -np.inf
    return ndcg(scores_N, item)


if __name__ == "__main__":
    typer.run(main)
