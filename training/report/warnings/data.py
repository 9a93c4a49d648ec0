"""Warnings of what went in."""

from collections.abc import Mapping

from training.report import words
from training.report.facts import Facts
from training.report.warnings.notice import Notice

MUCH = 0.2  # share of the interactions
SOME = 0.05  # of the items


def rejects(facts: Facts) -> Notice | None:
    """Rows that could not be used."""
    sources = [s for s in (facts.card.interactions_source, facts.card.items_source) if s]
    bad = {s.source: (sum(s.rejected.values()), s.rows) for s in sources if s.rejected}
    if not bad:
        return None
    commonest = max(facts.rejects, key=lambda each: each.rows)
    reason = words.REASONS.get(commonest.reason, commonest.reason)
    parts = [
        f"{words.count(n)} of {words.count(rows)} rows of {source} ({words.share(n / rows)})"
        for source, (n, rows) in bad.items()
    ]
    return Notice(
        "look",
        f"{words.listed(parts)} could not be used, most for {reason}.",
        "See prepare/rejects.jsonl in the output folder: it names file, line and reason of each.",
    )


def much_left_out(facts: Facts) -> Notice | None:
    """k-core took a large part away."""
    rows = facts.card.interactions_source.rows
    removed = facts.card.removed.k_core
    if removed <= MUCH * rows:
        return None
    return Notice(
        "look",
        f"filter.k_core left out {words.share(removed / rows)} of the interactions.",
        "A lower filter.k_core keeps more users and items, who are harder to serve well.",
    )


def undescribed(facts: Facts) -> Notice | None:
    """Items that the log names and the catalogue does not."""
    card = facts.card
    if card.items_source is None or card.content.undescribed <= SOME * card.taken():
        return None
    such_as = f", such as {card.content.such_as}" if card.content.such_as else ""
    return Notice(
        "look",
        f"{words.count(card.content.undescribed)} of {words.count(card.taken())} items of the log "
        f"are not in the catalogue{such_as}: they have no title, text or picture.",
        "Check that both files spell item ids alike. Where these can be had no more, "
        "filter.listed = true leaves them out.",
    )


def unread(facts: Facts) -> Notice | None:
    """Columns of the catalogue of which something is not read."""
    values = facts.card.items_source.unread if facts.card.items_source else {}
    if not values:
        return None
    said = _of_each(values)
    return Notice(
        "look",
        f"Values of the catalogue that are objects, or bytes, were not read: {said}.",
        "Export what is inside as columns of its own: texts, numbers, or lists of them.",
    )


def no_content(facts: Facts) -> Notice | None:
    """Nothing is known of items but what users did."""
    if any(content.present for content in facts.content.values()):
        return None
    return Notice(
        "look",
        "No item has text, a picture or a vector: what nobody has taken cannot be recommended.",
        "Name a catalogue with [items].",
    )


def unreadable(facts: Facts) -> Notice | None:
    """Pictures that encoders could not read."""
    bad = {f"modality {m}": c.corrupt for m, c in facts.content.items() if c.corrupt}
    if not bad:
        return None
    said = _of_each(bad)
    return Notice(
        "look",
        f"Content that could not be read: {said}.",
        "See encode/encode_rejects.jsonl in the output folder.",
    )


def no_times(facts: Facts) -> Notice | None:
    """The order of the file had to do."""
    if facts.card.split.timed:
        return None
    return Notice(
        "look",
        "The log has no times: the order of its rows was taken for the order of events.",
        "Name the column with interactions.columns.time, if there is one.",
    )


def repeats(facts: Facts) -> Notice | None:
    """People buy again, and the model never recommends that; or the other way round."""
    fits = facts.card.fitting()
    if fits == facts.recommend:
        return None
    return Notice(
        "look",
        f"{words.share(facts.card.repeats)} of the interactions are of an item that the user had "
        f"before, and recommend is '{facts.recommend}'.",
        f"recommend = '{fits}' fits such a log.",
    )


def adjacent(facts: Facts) -> Notice | None:
    """What is one use is there several times."""
    if not facts.card.is_doubled():
        return None
    return Notice(
        "look",
        f"{words.share(facts.card.adjacent)} of the interactions are of the item just before, as "
        "views that end in a purchase are: histories hold it several times.",
        "filter.deduplicate = 'consecutive' makes them one, as they are in what the service knows.",
    )


RULES = (
    *(rejects, much_left_out, undescribed, unread, no_content, unreadable, no_times, repeats),
    adjacent,
)


def _of_each(counts: Mapping[str, int]) -> str:
    return words.listed([f"{words.count(n)} of {what}" for what, n in counts.items()])
