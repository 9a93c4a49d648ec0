"""What was shown, with the odds of it, and what came of it: from the files that the service stores.

Only slots that chance filled tell what another ranking would have got.
"""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from training.errors import UserError

NEEDED = ("recommendation_id", "user_id", "item_id", "position", "time", "after")


def shown(folder: Path) -> pl.DataFrame:
    """A row a slot that chance filled, with ``odds``. Raises UserError where there is none.

    Answers to nobody who is known, and pages after the first, are left out: what they were made of
    is not in the log.
    """
    frame = _read(folder, "--shown", NEEDED)
    if "odds" not in frame.columns or frame["odds"].is_null().all():
        raise UserError(
            f"--shown: {folder} has no odds. A log that does not say with what chance an item was "
            "shown gives no unbiased estimate: let `explore` draw some slots, and replay those"
        )
    bad = frame.filter((pl.col("odds") <= 0) | (pl.col("odds") > 1))
    if len(bad):
        answer, odds = bad["recommendation_id"][0], bad["odds"][0]
        raise UserError(f"--shown: {folder}: answer {answer} has odds of {odds:g}, not in (0, 1]")
    drawn = frame.filter(pl.col("odds") < 1)
    if drawn.is_empty():
        raise UserError(
            f"--shown: {folder}: every item was put where it was with certainty. A log without "
            "chance gives no unbiased estimate: let `explore` draw some slots, and replay those"
        )
    kept = drawn.filter(pl.col("user_id").is_not_null() & pl.col("after").is_null())
    if kept.is_empty():
        raise UserError(f"--shown: {folder}: no first page has a user_id, so no history is known")
    return kept


def rewarded(slots: pl.DataFrame, done: pl.DataFrame, types: Sequence[str]) -> pl.DataFrame:
    """With ``reward``: 1 where an event of these types names the answer and the item."""
    named = pl.col("recommendation_id").is_not_null() & pl.col("type").is_in(types)
    hits = done.filter(named).select("recommendation_id", "item_id").unique()
    hits = hits.with_columns(reward=pl.lit(1.0))
    joined = slots.join(
        hits, on=["recommendation_id", "item_id"], how="left", maintain_order="left"
    )
    return joined.with_columns(pl.col("reward").fill_null(0.0))


def read_done(folder: Path) -> pl.DataFrame:
    """What users did, oldest first. Raises UserError."""
    columns = ("type", "user_id", "item_id", "time", "recommendation_id")
    return _read(folder, "--done", columns).sort("time", maintain_order=True)


def _read(folder: Path, option: str, needed: Sequence[str]) -> pl.DataFrame:
    files = sorted(folder.rglob("[!.]*.parquet"))
    if not files:
        raise UserError(f"{option}: {folder} holds no Parquet file")
    frame = pl.concat(
        [pl.read_parquet(file, hive_partitioning=False) for file in files], how="diagonal"
    )
    if missing := [name for name in needed if name not in frame.columns]:
        raise UserError(f"{option}: {folder} is not what the service stores: no {missing[0]!r}")
    return frame
