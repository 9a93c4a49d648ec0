"""Warnings of what came out, and how."""

from training.report import words
from training.report.facts import Facts
from training.report.warnings.notice import Notice

FEW_USERS = 1000
SOME = 0.05  # share of the users
ALIVE = 0.8  # share of a level's codes in use, below which it is dying
MANY_MOVED = 0.05  # share of the items
NARROW = 0.01  # share of the items that is ever shown
LONG = 1800.0  # seconds


def loses(facts: Facts) -> Notice | None:
    """A baseline is ahead."""
    if not facts.evaluation.loses_to_baseline:
        return None
    return Notice(
        "stop",
        f"{facts.evaluation.best_baseline}, which learns nothing, is at least as good.",
        "Do not go live: `bbqrec-train activate CONFIG DIGEST` goes back to another bundle. Then "
        "look at the curves: more epochs, another learning rate, or more data.",
    )


def chance(facts: Facts) -> Notice | None:
    """Ahead, but by no more than chance may be."""
    gain = facts.evaluation.gain
    if facts.evaluation.loses_to_baseline or gain is None or gain.low > 0:
        return None
    return Notice(
        "look",
        f"The lead over {facts.evaluation.best_baseline} may be chance: its interval goes down to "
        f"{words.change(gain.low)}.",
        "Test on more users before you count on it.",
    )


def few_users(facts: Facts) -> Notice | None:
    """Intervals are wide."""
    users = facts.evaluation.users
    if users >= FEW_USERS:
        return None
    return Notice(
        "look",
        f"Only {words.count(users)} users were tested, so every figure has a wide interval.",
        "Read the intervals, not the figures. A longer log has more users.",
    )


def left_out(facts: Facts) -> Notice | None:
    """Users who cannot be tested, as what they took is never recommended."""
    left = facts.evaluation.left_out
    if left <= SOME * (facts.evaluation.users + left):
        return None
    return Notice(
        "look",
        f"{words.count(left)} users took again what they had, and were left out of the test.",
        "recommend = 'all' tests and recommends that, too.",
    )


def not_done(facts: Facts) -> Notice | None:
    """Still getting better when the epochs were over."""
    limit = next((s.value for s in facts.settings if s.name == "fit.epochs"), "")
    if str(facts.fitted.epochs) != limit:
        return None
    return Notice(
        "look",
        f"The last of {limit} epochs was the best: it might have got better still.",
        "Raise fit.epochs; training stops by itself when it gets no better.",
    )


def dead_codes(facts: Facts) -> Notice | None:
    """Codes that no item has."""
    used = [facts.health[f"level_{n + 1}/used"] for n in range(facts.space.levels)]
    if min(used) >= ALIVE:
        return None
    level = used.index(min(used)) + 1
    return Notice(
        "look",
        f"Only {words.share(min(used))} of the codes of level {level} are in use.",
        "Lower quantize.codebook_size: dead codes tell nothing. More quantize.epochs may help.",
    )


def crowded(facts: Facts) -> Notice | None:
    """Many items had to move to be unique."""
    moved = facts.health["moved_rate"] + facts.health["extended_rate"]
    if moved <= MANY_MOVED:
        return None
    return Notice(
        "look",
        f"{words.share(moved)} of the items had the codes of another one, and had to be moved.",
        "Raise quantize.codebook_size or quantize.levels, or look for items that are listed twice.",
    )


def narrow(facts: Facts) -> Notice | None:
    """The same few items for everybody."""
    covered = facts.evaluation.models[words.OURS][f"coverage@{words.LIST}"]
    if covered >= NARROW:
        return None
    return Notice(
        "look",
        f"Only {words.share(covered)} of the items were ever among the {words.LIST} recommended.",
        "Look at the ten histories below: if all get the same, training has failed.",
    )


def new_items(facts: Facts) -> Notice | None:
    """Too few new items on validation to bring their scores to scale."""
    if facts.card.items_source is None or facts.fitted.exposure is not None:
        return None
    return Notice(
        "look",
        "Too few new items were taken in validation: their scores could not be brought to scale, "
        "so that they will hardly be shown.",
        "Raise evaluate.cold_share, or train on a longer log.",
    )


def memory_hurts(facts: Facts) -> Notice | None:
    """What validation chose is worse in the test."""
    added = facts.evaluation.memory
    if added is None or added.gain is None or added.gain.high >= 0:
        return None
    return Notice(
        "look",
        f"The memory costs {words.share(-added.gain.value)} of NDCG@{words.LIST} in the test.",
        "fit.memory = [0.0] leaves it out.",
    )


def no_curves(facts: Facts) -> Notice | None:
    """Nothing to draw."""
    if facts.curves["fit"]:
        return None
    return Notice(
        "note",
        "There are no learning curves: `loggers` does not name csv.",
        "loggers = ['csv'] writes what this page draws.",
    )


def no_refit(facts: Facts) -> Notice | None:
    """The bundle has not seen the latest."""
    if facts.refit:
        return None
    return Notice(
        "note",
        "The bundle has not learned the end of the log, on which it was tested.",
        "fit.refit = true trains again on everything before it goes live.",
    )


def slow(facts: Facts) -> Notice | None:
    """A long training in float32 on a CPU."""
    chosen = {s.name: s.value for s in facts.settings}
    plain = chosen.get("fit.precision") == '"32-true"' and chosen.get("fit.accelerator") == '"cpu"'
    seconds = sum(facts.costs[s].seconds for s in ("fit", "refit") if s in facts.costs)
    if not plain or seconds < LONG:
        return None
    return Notice(
        "note",
        f"Trained on a CPU in float32, which took {words.duration(seconds)}.",
        "fit.precision = 'bf16-mixed' is faster where the CPU has AMX or AVX-512 BF16, "
        "fit.accelerator = 'gpu' where there is one.",
    )


RULES = (
    *(loses, chance, few_users, left_out, not_done, dead_codes, crowded, narrow, new_items),
    *(memory_hurts, no_curves, no_refit, slow),
)
