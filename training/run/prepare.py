"""Stage prepare: the user's files to histories and a catalogue."""

from pathlib import Path

from training.config import RunConfig
from training.data.dataset import DatasetCard
from training.data.events import said_unnamed
from training.data.prepare import prepare


def run(config: RunConfig, directory: Path) -> str:
    """Write the prepared data set; a line that says what was kept and what was not."""
    card = prepare(config, directory)
    kept = f"{card.users:,} users, {card.items:,} items, {card.interactions:,} interactions"
    removed = {reason: n for reason, n in card.removed.model_dump().items() if n}
    for source in filter(None, (card.interactions_source, card.items_source)):
        removed |= {f"{source.source} {reason}": n for reason, n in source.rejected.items()}
    which = {"events": said_unnamed(card.unnamed)}
    left_out = ", ".join(f"{n:,} by {why}{which.get(why, '')}" for why, n in removed.items())
    more = f"{_not_listed(card)}{_not_read(card)}{_proposal(card)}"
    return f"{kept}; left out: {left_out or 'nothing'}{more}"


def _not_listed(card: DatasetCard) -> str:
    """Items of the log that have no content: often for want of ids that are spelt alike."""
    content = card.content
    if card.items_source is None or not content.undescribed:
        return ""
    return (
        f"; {content.undescribed:,} of {card.taken():,} items of the log are not in the catalogue, "
        f"such as {content.such_as!r}"
    )


def _not_read(card: DatasetCard) -> str:
    """What nothing was read of, beside rows."""
    sources = [source for source in (card.interactions_source, card.items_source) if source]
    said = [
        f"{n:,} objects or bytes in {column!r}"
        for source in sources
        for column, n in source.unread.items()
    ]
    for source in (source for source in sources if source.empty):
        more = f" and {len(source.empty) - 1:,} more" if len(source.empty) > 1 else ""
        said.append(f"{source.source}/{source.empty[0]}{more}: nothing is in it")
    return f"; not read: {', '.join(said)}" if said else ""


def _proposal(card: DatasetCard) -> str:
    """Which settings the log speaks for."""
    said = ""
    if card.is_doubled():
        said = (
            f"; {card.adjacent:.1%} are of the item just before, as views that end in a purchase "
            "are: filter.deduplicate = 'consecutive' fits"
        )
    if not card.repeats:
        return said
    return (
        f"{said}; {card.repeats:.1%} are of an item that the user had before: "
        f"recommend = '{card.fitting()}' fits"
    )
