"""Names and figures as a person says them."""

import datetime as dt

from training.evaluate import report as evaluation

LIST, OURS = evaluation.CUTOFF, evaluation.OURS
HIT, NDCG = f"recall@{LIST}", evaluation.HEADLINE
BASELINES = {
    "popularity": "what is most popular",
    "item-knn": "what the same people took",
    "item-knn-decayed": "what the same people took, the latest counting most",
    "memory": "what followed what, counted",
    "content-knn-decayed": "what is described alike",
}
REASONS = {
    "missing_user_id": "no user id",
    "missing_item_id": "no item id",
    "missing_time": "no time",
    "missing_rating": "no rating",
    "unparsable_time": "a time that cannot be read",
    "unparsable_rating": "a rating that is no number",
    "not_finite": "a number that is not finite",
    "zero_byte_in_id": "an id with a zero byte in it",
    "duplicate_item": "an item id that came before",
    "file_outside_folder": "a file outside the item file's folder",
    "broken_utf8": "bytes that are not UTF-8",
    "wrong_number_of_fields": "too many fields, or too few",
    "malformed_line": "a line that cannot be read",
    "truncated_gzip": "the end of the file is missing",
}
REMOVED = {
    "min_rating": "rated too low (interactions.min_rating)",
    "listed": "with items that the catalogue does not list (filter.listed)",
    "events": "of types that [events] leaves out",
    "deduplicate": "repeats (filter.deduplicate)",
    "k_core": "of users or items with too few (filter.k_core)",
    "max_history": "older than a user's latest (filter.max_history)",
}


def count(number: float) -> str:
    """1,349."""
    return f"{number:,.0f}"


def share(value: float) -> str:
    """27%, 0.4%; of what is nearly nothing or nearly all, enough to tell."""
    digits = 1 if 0 < abs(value) < 0.095 or 0.99 < abs(value) < 1 else 0
    return f"{value:.{digits}%}"


def change(value: float) -> str:
    """+19%."""
    return f"{value:+.0%}"


def figure(value: float) -> str:
    """0.148."""
    return f"{value:.3f}"


def size(size_bytes: int | None) -> str:
    """1.2 GB."""
    if size_bytes is None:
        return ""
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"


def duration(seconds: float) -> str:
    """4 min 30 s."""
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {left} s" if minutes else f"{seconds:.1f} s"


def day(seconds: float) -> str:
    """20 September 1997."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%-d %B %Y")


def moment(iso: str) -> str:
    """29 November 2026, 00:09 UTC."""
    return dt.datetime.fromisoformat(iso).strftime("%-d %B %Y, %H:%M UTC")


def listed(names: list[str]) -> str:
    """a, b and c."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
