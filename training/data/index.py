"""Ids to integers and back: codes follow the order of the ids, so they are reproducible."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.data.split import Codes, Mask


@dataclass(frozen=True)
class Interactions:
    """Integer-coded interactions, sorted by user, then order. time: microseconds since 1970.

    weight: what each counts in training; None where all count alike.
    """

    user: Codes
    item: Codes
    time: NDArray[np.int64]
    weight: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.user)

    def without_equal_weights(self) -> "Interactions":
        """Without weights, where all are the same: then they say nothing."""
        alike = self.weight is not None and bool((self.weight == self.weight[:1]).all())
        return replace(self, weight=None) if alike else self

    def where(self, kept: Mask) -> "Interactions":
        """Only some of them."""
        if kept.all():
            return self
        weight = None if self.weight is None else self.weight[kept]
        return Interactions(self.user[kept], self.item[kept], self.time[kept], weight)


class Indexed(NamedTuple):
    """Interactions, and the ids that their codes stand for."""

    log: Interactions
    user_ids: pl.Series
    item_ids: pl.Series


def encode(frame: pl.LazyFrame, shuffle_ties: int | None) -> Indexed:
    """Two streaming passes, one for the ids and one for the rows, then one sort by user and time.

    Interactions of the same time stay in file order, or are shuffled with a seed.
    """
    unique = [frame.select(pl.col(name).unique()) for name in ("user", "item")]
    user_ids, item_ids = (
        ids.to_series().sort() for ids in pl.collect_all(unique, engine="streaming")
    )
    codes = [_codes("user", user_ids), _codes("item", item_ids)]
    more = ["weight"] if "weight" in frame.collect_schema() else []
    rows = frame.select(*codes, pl.col("time").fill_null(0), *more).collect(engine="streaming")
    keys = ["user", "time"]
    if shuffle_ties is not None:
        draw = np.random.default_rng(shuffle_ties).permutation(len(rows)).astype(np.uint32)
        rows, keys = rows.with_columns(tie=draw), [*keys, "tie"]
    rows = rows.sort(keys, maintain_order=True)
    columns = (rows[name].to_numpy() for name in ("user", "item", "time", *more))
    return Indexed(Interactions(*columns), user_ids, item_ids)


def _codes(name: str, ids: pl.Series) -> pl.Expr:
    return pl.col(name).cast(pl.Enum(ids)).to_physical().cast(pl.UInt32)


def close_gaps(indexed: Indexed) -> Indexed:
    """Renumber, after some interactions went, so that every code is in use again."""
    user, user_ids = _renumber(indexed.log.user, indexed.user_ids)
    item, item_ids = _renumber(indexed.log.item, indexed.item_ids)
    return Indexed(replace(indexed.log, user=user, item=item), user_ids, item_ids)


def _renumber(codes: Codes, ids: pl.Series) -> tuple[Codes, pl.Series]:
    present = np.bincount(codes, minlength=len(ids)) > 0
    new = (np.cumsum(present) - 1).astype(np.uint32)
    return new[codes], ids.filter(pl.Series(present))


def with_unseen(indexed: Indexed, item_ids: pl.Series) -> Indexed:
    """Give rows to further items that no interaction names."""
    every = pl.concat([indexed.item_ids, item_ids]).unique().sort()
    new = every.search_sorted(indexed.item_ids).to_numpy().astype(np.uint32)
    log = replace(indexed.log, item=new[indexed.log.item])
    return Indexed(log, indexed.user_ids, every)


def item_table(item_ids: pl.Series, content: pl.LazyFrame) -> pl.LazyFrame:
    """One row an item_index, in order, with the content that the catalogue has for it."""
    index = pl.LazyFrame({"item_id": item_ids}).with_row_index("item_index")
    joined = index.join(content, on="item_id", how="left", maintain_order="left")
    return joined.select("item_index", *content.collect_schema().names())
