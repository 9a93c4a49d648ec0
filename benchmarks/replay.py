"""``python -m benchmarks.replay``: is it worth hearing what users do? A log, replayed in time.

All up to the test part is known before; then every event is predicted from what its user did until
then, and told to those who listen. Settings are chosen on the validation part. What listens is the
service's own code, fed event by event; models that were trained stay out of it: how a sum of them
and the memory ranks is in the accuracy tables, this is about what changes while they stand still.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Protocol

import numpy as np
import polars as pl
import typer
from matplotlib import pyplot as plt
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from models.contract.live_counts import PAIRS, LiveTransitions
from models.contract.memory import STEPS, Memory
from models.contract.types import FloatArray
from service.settings import Settings
from training import stage_files
from training.config import RunConfig, load
from training.data import dataset
from training.data.histories import Histories, Part, Windows, targets
from training.encoders.encode import load_words
from training.evaluate.baselines import ItemKnn, choose_decay, item_similarity
from training.evaluate.ranking import Task
from training.memory.memory import LIKENESS, Recipe, Sources, choose
from training.memory.transitions import transitions
from training.run.pipeline import Pipeline
from training.run.stages import STAGES

_DAY = 86_400
_WEEK = 7 * _DAY
_RESULTS = Path(__file__).parents[1] / "docs" / "benchmarks"
_COLOURS = {
    "popular, 7 days": "#cbd5e0",
    "item-kNN, decayed": "#9aa5b1",
    "static memory": "#4a5568",
    "live memory": "#e07b00",
    "recounted daily": "#2b6cb0",
}


class Listener(Protocol):
    """Scores items after a history, and hears of every step."""

    def scores(self, history: Sequence[int]) -> FloatArray:
        """(N,)."""

    def hear(self, history: Sequence[int], time: int) -> None:
        """The last item of this history came just now."""


class Counted:
    """The memory of a bundle, which stays as it is."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory

    def scores(self, history: Sequence[int]) -> FloatArray:
        scores_N = np.zeros(len(self.memory), np.float32)
        recalled = self.memory.recall(history)
        scores_N[recalled.rows_J] = recalled.scores_J
        return scores_N

    def hear(self, history: Sequence[int], time: int) -> None:
        pass


class Live(Counted):
    """With what the service counts of events, weighed as the bundle's counts are."""

    def __init__(self, memory: Memory) -> None:
        super().__init__(memory)
        half_life = Settings.model_fields["live_half_life"].default
        self.transitions = LiveTransitions(PAIRS, half_life)

    def scores(self, history: Sequence[int]) -> FloatArray:
        scores_N = super().scores(history)
        for back, item in enumerate(reversed(history[-STEPS:])):
            if (followers := self.transitions.followers(str(item))) is not None:
                rows = [int(each) for each in followers.item_ids]
                weight = self.memory.weight * self.memory.decay**back
                scores_N[rows] += np.float32(weight) * followers.shares_J
        return scores_N

    def hear(self, history: Sequence[int], time: int) -> None:
        names = [str(item) for item in history]
        self.transitions.step(names, len(names) - 1, float(time))


class Daily(Counted):
    """Counted anew every day, from all that has come: what a nightly training comes to."""

    def __init__(self, histories: list[list[int]], sources: Sources, recipe: Recipe) -> None:
        super().__init__(sources.mix(recipe))
        self.histories, self.sources, self.recipe = histories, sources, recipe
        self.day = 0

    def hear(self, history: Sequence[int], time: int) -> None:
        if time // _DAY > self.day:  # before this event
            self.day = time // _DAY
            flat = np.array([item for each in self.histories for item in each], np.int32)
            offsets = np.cumsum([0, *map(len, self.histories)])
            so_far = Histories(offsets, flat, np.zeros(len(flat), np.uint8))
            counts_NN = transitions(so_far, len(self.memory))
            sources = self.sources._replace(transitions_NN=counts_NN)
            self.memory = sources.mix(self.recipe)


class Popular:
    """Used most within the last seven days."""

    def __init__(self, log: Iterable[tuple[int, int]], size: int) -> None:
        self.count_N = np.zeros(size, np.float32)
        self.latest: deque[tuple[int, int]] = deque()
        for item, time in log:
            self.add(item, time)

    def add(self, item: int, time: int) -> None:
        self.count_N[item] += 1
        self.latest.append((item, time))
        while self.latest[0][1] < time - _WEEK:
            self.count_N[self.latest.popleft()[0]] -= 1

    def scores(self, history: Sequence[int]) -> FloatArray:
        return self.count_N.copy()

    def hear(self, history: Sequence[int], time: int) -> None:
        self.add(history[-1], time)


class Standing:
    """A ranker of the accuracy tables."""

    def __init__(self, ranker: ItemKnn) -> None:
        self.ranker = ranker

    def scores(self, history: Sequence[int]) -> FloatArray:
        items = np.array(history, np.int32)
        windows = Windows(np.zeros(1, np.int64), np.array([len(items)]))
        scores_N: FloatArray = self.ranker.score(items, windows)[0]
        return scores_N

    def hear(self, history: Sequence[int], time: int) -> None:
        pass


def main(
    config: Annotated[Path, typer.Argument(help="A run's TOML file, of a split in time.")],
) -> None:
    """Print and write NDCG@10 of all days, and of each."""
    asked = load(config)
    Pipeline(asked, STAGES).complete(print, "prepare", "encode")
    gain, day, user = replay(asked)
    report(asked.name, gain, day, user)


def replay(
    config: RunConfig,
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.int64], NDArray[np.int64]]:
    """(E,) each: NDCG@10 of every listener; the day and the user of each event."""
    data, most, new = stage_files.data(config), config.fit.memory_items, config.filter_seen
    size, histories = data.card.items, data.histories
    words = load_words(config.output / "encode")
    train, before = histories.up_to(Part.TRAIN), histories.up_to(Part.VALIDATION)
    validation = Task(targets(histories, Part.VALIDATION, filter_seen=new), size, new)
    recipe = choose(Sources.of(train, words, most), LIKENESS, validation)
    similarity_NN = item_similarity(train, size, filter_seen=new)
    decay = choose_decay(lambda d: ItemKnn(similarity_NN, d), validation)
    log = pl.read_parquet(config.output / "prepare" / dataset.INTERACTIONS)
    log = log.sort("timestamp", maintain_order=True)
    known = log.filter(pl.col("part") < Part.TEST).select("item_index", "timestamp").iter_rows()
    so_far = [before[user].tolist() for user in range(len(before))]
    sources = Sources.of(before, words, most)
    memory = sources.mix(recipe)
    all_NN = item_similarity(before, size, filter_seen=new)
    listeners: dict[str, Listener] = {
        "popular, 7 days": Popular(known, size),
        "item-kNN, decayed": Standing(ItemKnn(all_NN, decay)),
        "static memory": Counted(memory),
        "live memory": Live(memory),
        "recounted daily": Daily(so_far, sources, recipe),
    }
    gains: dict[str, list[float]] = {name: [] for name in listeners}
    days, users = [], []
    events = log.filter(part=int(Part.TEST)).select("user_index", "item_index", "timestamp")
    for user, item, time in events.iter_rows():
        history = so_far[user]
        daily = listeners["recounted daily"]
        daily.hear(history, time)
        if history and not (new and item in history):
            days.append(time // _DAY)
            users.append(user)
            for name, listener in listeners.items():
                scores_N = listener.scores(history)
                if new:
                    scores_N[history] = -1
                gains[name].append(ndcg(scores_N, item))
        history.append(item)
        for listener in listeners.values():
            if listener is not daily:
                listener.hear(history, time)
    found = {name: np.array(gain) for name, gain in gains.items()}
    return found, np.array(days), np.array(users)


def ndcg(scores_N: FloatArray, item: int) -> float:
    """NDCG@10. Of equal scores half are taken to be before it."""
    above, equal = int((scores_N > scores_N[item]).sum()), int((scores_N == scores_N[item]).sum())
    rank = above + (equal - 1) // 2
    return float(1 / np.log2(2 + rank)) if rank < 10 else 0.0


def report(
    name: str,
    gains: dict[str, NDArray[np.float64]],
    day: NDArray[np.int64],
    user: NDArray[np.int64],
    beside: str = "static memory",
) -> None:
    """A table with intervals by users, as text, and a curve by day."""
    base, head = gains[beside], f"beside the {beside}"
    lines = [f"| | NDCG@10 | {head} |", "|---|---|---|"]
    table = Table("", "NDCG@10", head, title=f"{name}: {len(day):,} events")
    for each, gain in gains.items():
        low, high = _interval(gain, base, user)
        change = f"{gain.mean() / base.mean() - 1:+.1%} [{low:+.1%}, {high:+.1%}]"
        row = each, f"{gain.mean():.4f}", "" if gain is base else change
        table.add_row(*row)
        lines.append(f"| {' | '.join(row)} |")
    Console().print(table)
    (_RESULTS / f"replay-{name}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    _plot(name, gains, day)


def _interval(
    gain: NDArray[np.float64], base: NDArray[np.float64], user: NDArray[np.int64]
) -> tuple[float, float]:
    """95%, of the relative change, by users."""
    _, place = np.unique(user, return_inverse=True)
    own_U, base_U = np.bincount(place, gain), np.bincount(place, base)
    random = np.random.default_rng(0)
    drawn = random.integers(0, len(own_U), (1000, len(own_U)))
    low, high = np.quantile(own_U[drawn].sum(1) / base_U[drawn].sum(1) - 1, [0.025, 0.975])
    return float(low), float(high)


def _plot(name: str, gains: dict[str, NDArray[np.float64]], day: NDArray[np.int64]) -> None:
    days, place = np.unique(day, return_inverse=True)
    figure, axis = plt.subplots(figsize=(7, 3.5))
    for each, gain in gains.items():
        mean = np.bincount(place, gain) / np.bincount(place)
        axis.plot(days - days[0], mean, label=each, color=_COLOURS.get(each))
    axis.set(xlabel="days after training", ylabel="NDCG@10", title=name)
    axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))  # it hides no curve
    figure.savefig(_RESULTS / f"replay-{name}.png", dpi=120, bbox_inches="tight")


if __name__ == "__main__":
    typer.run(main)
