"""Stage prepare: the user's files to histories and a catalogue."""

from pathlib import Path

from models.contract.config import Recommend
from training.config import RunConfig
from training.data.prepare import prepare

_MANY_REPEATS = 0.05  # of all interactions, from which on to buy again is worth learning


def run(config: RunConfig, directory: Path) -> str:
    """Write the prepared data set; a line that says what was kept and what was not."""
    card = prepare(config, directory)
    kept = f"{card.users:,} users, {card.items:,} items, {card.interactions:,} interactions"
    removed = {reason: n for reason, n in card.removed.model_dump().items() if n}
    for source in filter(None, (card.interactions_source, card.items_source)):
        removed |= {f"{source.source} {reason}": n for reason, n in source.rejected.items()}
    left_out = ", ".join(f"{n:,} by {reason}" for reason, n in removed.items())
    return f"{kept}; left out: {left_out or 'nothing'}{_proposal(card.repeats)}"


def _proposal(repeats: float) -> str:
    """Which mode the log speaks for."""
    if not repeats:
        return ""
    mode: Recommend = "all" if repeats >= _MANY_REPEATS else "new"
    return f"; {repeats:.1%} are of an item that the user had before: recommend = '{mode}' fits"
