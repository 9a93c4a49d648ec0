"""``bbqrec-train replay``: what a bundle would have got in slots that chance filled."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from rich.table import Table

from models.contract import bundle as bundles
from models.contract.bundle import FILES, Bundle
from models.contract.store import BundleStore, Role
from training.config import RunConfig
from training.data.histories import Windows, unroll
from training.errors import UserError
from training.evaluate.intervals import Estimate
from training.evaluate.served import ServedRanker
from training.replay.estimate import Replayed, Slots, estimate
from training.replay.shown import read_done, rewarded, shown

STEPS = ("view", "click", "cart", "purchase", "like")
FEWEST = 100  # slots of equal weight
_AT_ONCE = 3_000_000  # scores


def replay(
    config: RunConfig, folder: Path, done: Path, role: Role, types: Sequence[str], clip: float
) -> Replayed:
    """Of the bundle in that role. Raises UserError."""
    directory = BundleStore(config.output).find(role)
    if directory is None:
        raise UserError(f"no bundle of {config.output} is {role}")
    slots, did = shown(folder), read_done(done)
    bundle = bundles.read(directory, FILES.MAPPED)
    slots = with_history(slots, did, bundle)
    if slots.is_empty():
        raise UserError(f"--done: {done}: no user of {folder} had done anything before")
    slots = rewarded(slots.sort("recommendation_id", "position"), did, types)
    user_J = slots["user_id"].rank("dense").to_numpy().astype(np.int64) - 1
    odds_J, reward_J = (slots[name].to_numpy().astype(np.float64) for name in ("odds", "reward"))
    return estimate(Slots(user_J, odds_J, reward_J, matched(bundle, slots, did)), clip)


def with_history(slots: pl.DataFrame, done: pl.DataFrame, bundle: Bundle) -> pl.DataFrame:
    """Shown to those of whom something was known by then; whoever came back only because of what
    was shown must not count for more.
    """
    known = pl.Series(item.item_id for item in bundle.catalogue)
    steps = done.filter(pl.col("type").is_in(STEPS) & pl.col("item_id").is_in(known.implode()))
    first = steps.group_by("user_id").agg(pl.col("time").min().alias("since"))
    return slots.join(first, on="user_id").filter(pl.col("since") < pl.col("time")).drop("since")


def matched(bundle: Bundle, slots: pl.DataFrame, done: pl.DataFrame) -> NDArray[np.bool_]:
    """(J,): whether the bundle has the same item in the same slot, after what the user had done."""
    ids = [item.item_id for item in bundle.catalogue]
    known = pl.DataFrame({"item_id": ids, "row": np.arange(len(ids), dtype=np.int32)})
    answers = slots.select("recommendation_id", "user_id", "time").unique(maintain_order=True)
    answers = answers.with_row_index("answer")
    steps = done.filter(pl.col("type").is_in(STEPS)).join(known, on="item_id")
    before = answers.join(steps, on="user_id", suffix="_done").filter(
        pl.col("time_done") < pl.col("time")
    )
    before = before.sort("answer", "time_done", maintain_order=True)
    # An item viewed and then bought is one step of a history, as the service has it.
    same = pl.struct("answer", "row")
    before = before.filter(same.ne_missing(same.shift()))
    length_B = np.bincount(before["answer"].to_numpy(), minlength=len(answers))
    windows = Windows(np.cumsum(length_B) - length_B, length_B)
    top_BK = _top(bundle, ids, before["row"].to_numpy(), windows, int(slots["position"].max()))  # type: ignore[arg-type]
    asked = slots.join(answers, on="recommendation_id", maintain_order="left")
    asked = asked.join(known, on="item_id", how="left", maintain_order="left")
    at_J, slot_J = asked["answer"].to_numpy(), asked["position"].to_numpy() - 1
    same_J: NDArray[np.bool_] = top_BK[at_J, slot_J] == asked["row"].fill_null(-1).to_numpy()
    return same_J


def _top(
    bundle: Bundle, ids: Sequence[str], items: NDArray[np.int32], windows: Windows, most: int
) -> NDArray[np.int64]:
    """(B, K): rows that the bundle would show, best first; -2 where there is nothing more."""
    ranker, new = ServedRanker(bundle, ids), bundle.manifest.recommend == "new"
    most_at_once, tops = max(1, _AT_ONCE // len(ids)), []
    for first in range(0, len(windows.start), most_at_once):
        part = Windows(*(each[first : first + most_at_once] for each in windows))
        scores_BN = ranker.score(items, part)
        if new:
            seen = unroll(items, part)
            scores_BN[seen.row, seen.item] = -np.inf
        top_BK = np.argsort(-scores_BN, axis=1, kind="stable")[:, :most]
        shown_BK = np.isfinite(np.take_along_axis(scores_BN, top_BK, axis=1))
        top_BK = np.where(shown_BK, top_BK, -2)
        tops.append(np.pad(top_BK, ((0, 0), (0, most - top_BK.shape[1])), constant_values=-2))
    return np.concatenate(tops)


def table(found: Replayed, role: Role) -> Table:
    """For people."""
    shown = Table(
        title=f"{found.slots:,} slots that chance filled",
        caption=f"weights of {found.matched:,} slots in which both show the same, worth "
        f"{found.effective:,.0f} of equal weight; {found.clipped:.1%} clipped; neither clipped nor "
        f"self-normalised {found.ips:.4f}. {_enough(found.effective)}{_supported(found.support)}",
    )
    for column in ("", "clicks a slot", "95%"):
        shown.add_column(column, justify="left" if not column else "right")
    shown.add_row("the log", f"{found.logged:.4f}", "")
    shown.add_row(role, f"{found.snips.value:.4f}", _span(found.snips))
    shown.add_row("difference", f"{found.change.value:+.4f}", _span(found.change))
    return shown


def _span(interval: Estimate) -> str:
    return f"[{interval.low:.4f}, {interval.high:.4f}]"


def _enough(effective: float) -> str:
    """With so few, the interval itself is not to be relied on: rare, heavy slots are not in it."""
    return "" if effective >= FEWEST else f"Fewer than {FEWEST}: do not decide by this. "


def _supported(support: Estimate) -> str:
    if support.low <= 1 <= support.high:
        return "What it shows had a chance"
    told = f"{support.value:.0%} [{support.low:.0%}, {support.high:.0%}]"
    return f"Biased: of what it shows {told} had a chance, and only of that this tells"
