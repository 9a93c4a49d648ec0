"""The prepare stage: from the user's files to indexed, filtered, split interactions."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.config import FilterConfig, RunConfig, SplitConfig
from training.data import dataset, split
from training.data.dataset import ContentCard, DatasetCard, RemovedCard, SourceCard, SplitCard
from training.data.events import said_unnamed, unnamed, weighted
from training.data.histories import Histories, Part, first_of_each, targets
from training.data.index import Indexed, Interactions, close_gaps, encode, item_table, with_unseen
from training.data.items import CONTENT, Catalogue, read_items
from training.data.read import Log, read_interactions
from training.data.rejects import Rejects, SourceRejects
from training.errors import UserError

_DAY = 86_400  # seconds
_UNRATED = pl.col("rating").is_null()  # of what is stored: in a log, such a row is rejected


class Again(NamedTuple):
    """Shares of interactions with an item that the user had before: just before, or longer ago."""

    repeats: float
    adjacent: float


def prepare(config: RunConfig, directory: Path) -> DatasetCard:
    """Read, validate, filter, index, split and write; the same input gives the same files.

    Raises UserError when the files cannot be used, or too many of their rows.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with _scratch(directory) as scratch, Rejects(directory / dataset.REJECTS) as rejects:
        log, log_card = _read_log(config, rejects, scratch)
        catalogue, items_card = _read_items(config, rejects, scratch)
        rejects.close()  # whole on disk before anything else can go wrong
        indexed, removed, types = _filtered(config, log, catalogue)
        indexed, content = _with_content(config, indexed, catalogue, directory)
    split_card, again = _split(indexed, log.timed, config, directory)
    card = DatasetCard(
        users=len(indexed.user_ids),
        items=len(indexed.item_ids),
        interactions=len(indexed.log),
        interactions_source=log_card,
        items_source=items_card,
        weighted=indexed.log.weight is not None,
        repeats=again.repeats,
        adjacent=again.adjacent,
        removed=removed,
        unnamed=types,
        content=content,
        split=split_card,
    )
    users = pl.DataFrame({"user_id": indexed.user_ids}).with_row_index("user_index")
    users.write_parquet(directory / dataset.USERS)
    text = card.model_dump_json(indent=2) + "\n"
    (directory / dataset.CARD).write_text(text, encoding="utf-8")
    return card


@contextmanager
def _scratch(directory: Path) -> Iterator[Path]:
    """A folder for the time being, under one name: what a killed run left goes too."""
    scratch = directory / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _read_log(config: RunConfig, every: Rejects, scratch: Path) -> tuple[Log, SourceCard]:
    rejects = every.source("interactions", config.interactions.path)
    log = read_interactions(
        config.interactions, rejects, scratch / "interactions", typed=bool(config.events)
    )
    if config.split.kind == "temporal" and not log.timed:
        raise UserError(
            f"split.kind = 'temporal' needs times, and {config.interactions.path} has none: "
            "set interactions.columns.time, or use leave_one_out"
        )
    rejects.check(log.rows, config.filter.max_reject_share)
    return log, _source(config.interactions.path, log, rejects)


def _read_items(
    config: RunConfig, every: Rejects, scratch: Path
) -> tuple[Catalogue, SourceCard | None]:
    if config.items is None:
        return Catalogue(pl.LazyFrame(schema=CONTENT), "none", rows=0), None
    rejects = every.source("items", config.items.path)
    catalogue = read_items(config.items, rejects, scratch / "items")
    rejects.check(catalogue.rows, config.filter.max_reject_share)
    return catalogue, _source(config.items.path, catalogue, rejects)


def _source(path: Path, read: Log | Catalogue, rejects: SourceRejects) -> SourceCard:
    return SourceCard(
        source=path.name,
        format=read.format,
        rows=read.rows,
        rejected=dict(rejects.counts),
        empty=tuple(map(rejects.name_of, read.empty)),
        unread=dict(read.unread) if isinstance(read, Catalogue) else {},
    )


def _filtered(
    config: RunConfig, log: Log, catalogue: Catalogue
) -> tuple[Indexed, RemovedCard, dict[str, int]]:
    """Indexed interactions, less those that the configuration leaves out, of which types too."""
    rated, lowest = log.frame, config.interactions.min_rating
    if lowest is not None:
        rated = rated.filter((pl.col("rating") >= lowest) | _UNRATED)
    listed = rated
    if config.filter.listed:
        ids = catalogue.frame.select("item_id")
        # The file's order decides between equal times, and unless told a join keeps none.
        listed = rated.join(
            ids, left_on="item", right_on="item_id", how="semi", maintain_order="left"
        )
    frame = weighted(listed, config.events) if config.events else listed
    shuffled = config.split.ties == "shuffle" and log.timed
    indexed = encode(frame, config.seed if shuffled else None)
    found = len(indexed.log)
    more = config.filter.listed or config.events
    sizes = [log.good, *(_sizes([rated, listed]) if more else [found, found]), found]
    kept, removed = _filter(indexed.log.without_equal_weights(), config.filter)
    min_rating, unlisted, events = (-np.diff(sizes)).tolist()
    removed = removed.model_copy(
        update={"min_rating": min_rating, "listed": unlisted, "events": events}
    )
    types = unnamed(listed, config.events) if events else {}
    if not len(kept):
        raise UserError(
            f"no interaction of {config.interactions.path} is left: of {log.good:,}, min_rating "
            f"removed {removed.min_rating:,}, filter.listed {removed.listed:,}, "
            f"[events] {removed.events:,}{said_unnamed(types)}, "
            f"de-duplication {removed.deduplicate:,} and "
            f"filter.k_core = {config.filter.k_core} the other {removed.k_core:,}"
        )
    return close_gaps(indexed._replace(log=kept)), removed, types


def _sizes(frames: list[pl.LazyFrame]) -> list[int]:
    """Rows of each; what they have in common is read once."""
    counted = pl.collect_all([frame.select(pl.len()) for frame in frames], engine="streaming")
    return [count.item() for count in counted]


def _filter(log: Interactions, config: FilterConfig) -> tuple[Interactions, RemovedCard]:
    sizes = [len(log)]
    if config.deduplicate == "all":
        log = log.where(first_of_each(log.user, log.item))
    elif config.deduplicate == "consecutive":
        log = log.where(split.not_adjacent(log.user, log.item))
    sizes.append(len(log))
    log = log.where(split.k_core(log.user, log.item, config.k_core))
    sizes.append(len(log))
    if config.max_history is not None:
        log = log.where(split.latest(log.user, config.max_history))
    sizes.append(len(log))
    deduplicate, k_core, max_history = (-np.diff(sizes)).tolist()
    return log, RemovedCard(deduplicate=deduplicate, k_core=k_core, max_history=max_history)


def _with_content(
    config: RunConfig, indexed: Indexed, catalogue: Catalogue, directory: Path
) -> tuple[Indexed, ContentCard]:
    """Write the items, those that nobody bought too if asked."""
    described = catalogue.frame.select("item_id").collect().to_series()
    bought = len(indexed.item_ids)
    if config.items and config.items.keep_unseen:
        indexed = with_unseen(indexed, described)
    items = directory / dataset.ITEMS
    item_table(indexed.item_ids, catalogue.frame).sink_parquet(items)
    image = pl.col("image_path").is_not_null() | pl.col("image_bytes").is_not_null()
    counts = pl.scan_parquet(items).select(
        pl.col("title").count(), pl.col("text").count(), image.sum().alias("image")
    )
    title, text, pictures = counts.collect(engine="streaming").row(0)
    known = int(described.is_in(indexed.item_ids.implode()).sum())
    undescribed = indexed.item_ids.filter(~indexed.item_ids.is_in(described.implode()))
    return indexed, ContentCard(
        title=title,
        text=text,
        image=pictures,
        columns=catalogue.columns,
        undescribed=len(undescribed),
        such_as=next(iter(undescribed), None),
        unseen=len(indexed.item_ids) - bought,
        left_out=len(described) - known,
    )


def _split(
    indexed: Indexed, timed: bool, config: RunConfig, directory: Path
) -> tuple[SplitCard, Again]:
    """Split, and write the interactions; what share of them repeats an earlier one."""
    log = indexed.log
    seconds = log.time // 1_000_000
    parts = _parts(log.user, seconds, config.split)
    frame = pl.DataFrame(
        {"user_index": log.user, "item_index": log.item, "timestamp": seconds, "part": parts.part}
    )
    if not timed:
        frame = frame.with_columns(timestamp=pl.lit(None, pl.Int64))
    if log.weight is not None:
        frame = frame.with_columns(weight=log.weight)
    frame.write_parquet(directory / dataset.INTERACTIONS)
    histories = dataset.histories_of(frame, len(indexed.user_ids))
    held_out = _held_out(histories, config)
    counts = np.bincount(parts.part, minlength=len(Part)).tolist()
    card = SplitCard(
        kind=config.split.kind,
        seed=config.seed,
        ties=config.split.ties,
        timed=timed,
        validation_from=parts.validation_from,
        test_from=parts.test_from,
        until=int(seconds.max()) if timed else None,
        interactions={part.name.lower(): counts[part] for part in Part},
        evaluated_users={part.name.lower(): users for part, users in held_out.items()},
    )
    return card, _again(log, seconds, histories.first_uses())


def _held_out(histories: Histories, config: RunConfig) -> dict[Part, int]:
    """Users that each part is evaluated on. Raises UserError where there are none."""
    found = {part: targets(histories, part) for part in (Part.VALIDATION, Part.TEST)}
    if not all(len(each.user) for each in found.values()):
        raise UserError(
            f"no user has enough interactions to hold one out by split.kind = "
            f"{config.split.kind!r}: leave_one_out needs 3, temporal 2, of which one after a cut"
        )
    users = {part: len(each.user) for part, each in found.items()}
    if config.filter_seen:
        users = {part: int((~each.had_before()).sum()) for part, each in found.items()}
    if empty := [part.name.lower() for part, count in users.items() if not count]:
        raise UserError(
            f"all that is held out for {empty[0]} was had before by whoever took it, "
            "and is never recommended to them: set recommend = 'all'"
        )
    return users


def _again(log: Interactions, seconds: NDArray[np.int64], first_J: NDArray[np.bool_]) -> Again:
    """What was viewed, put into the cart and then bought is not what is bought again."""
    soon = np.diff(seconds, prepend=seconds[:1]) < _DAY
    adjacent = ~split.not_adjacent(log.user, log.item) & soon
    return Again(float((~first_J & ~adjacent).mean()), float(adjacent.mean()))


def _parts(user: split.Codes, seconds: NDArray[np.int64], config: SplitConfig) -> split.Split:
    if config.kind == "temporal":
        return split.temporal(seconds, config)
    return split.leave_one_out(user)
