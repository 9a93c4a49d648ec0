"""Types of interactions: what each counts, and what is not to be learned."""

from collections.abc import Mapping

import polars as pl

_TYPES = 20  # that are told of, where a column holds something else


def weighted(frame: pl.LazyFrame, weights: Mapping[str, float]) -> pl.LazyFrame:
    """Interactions of the types that are named, with their ``weight``.

    What a user has last said of an item decides: after a type of no positive weight, none of their
    interactions with it is left. Else each counts as the strongest of them does, so that a view
    that was followed by a purchase is not dropped for the view.
    """
    weight = pl.col("type").replace_strict(
        list(weights), list(weights.values()), default=None, return_dtype=pl.Float32
    )
    of_both = ["user", "item"]
    last = pl.col("weight").sort_by("time", maintain_order=True).last().over(of_both)
    named = frame.with_columns(weight=weight).filter(pl.col("weight").is_not_null())
    liked = named.filter((last > 0) & (pl.col("weight") > 0))
    return liked.with_columns(pl.col("weight").max().over(of_both))


def unnamed(frame: pl.LazyFrame, weights: Mapping[str, float]) -> dict[str, int]:
    """How many rows are of types that are not named, by type, the most frequent first; those
    without a type under "".
    """
    others = frame.filter(pl.col("type").is_in([*weights]).not_().fill_null(True))
    counted = others.group_by(pl.col("type").fill_null("")).len().collect(engine="streaming")
    return dict(counted.sort("len", "type", descending=[True, False]).head(_TYPES).iter_rows())


def said_unnamed(types: Mapping[str, int]) -> str:
    """After a number of rows that [events] leaves out: which types it does not name."""
    said = ", ".join(f"{rows:,} of {name!r}" for name, rows in types.items())
    return f" (not named there: {said})" if said else ""
