"""Quality: is what is recommended still what was trained for?"""

from scripts.monitoring.panels import Dashboard, Row, lines, stack
from scripts.monitoring.promql import ANSWERS, highest, rate, share
from scripts.monitoring.recording import DRIFT

_JOB = 'job=~"$job"'
_ANSWERED = rate(ANSWERS)
_LOOKED_UP = rate("bbqrec_cache_lookups_total", 'backend="process"')


def _each(outcome: str, of: str = "answers") -> tuple[str, str]:
    """Of a variant: every process counts the whole log, so the furthest is right."""
    part, whole = (
        highest("bbqrec_outcomes", f'outcome="{name}"', by="role") for name in (outcome, of)
    )
    return f"{part} / ({whole} > 0)", "{{role}}"


DASHBOARD = Dashboard(
    uid="bbqrec-quality",
    title="bbqrec quality",
    what="Fallbacks, unknown items, what is shown, and scores beside those at export.",
    rows=(
        Row(
            "What is asked",
            (
                lines(
                    "Fallbacks",
                    "Share of answers that are not personal, for nothing of the history is known."
                    " BbqrecMostlyPopular fires at 50%.",
                    "percentunit",
                    (share(rate("bbqrec_fallbacks_total", by="reason"), _ANSWERED), "{{reason}}"),
                    width=12,
                ),
                lines(
                    "Unknown items",
                    "Share of the ids in histories that nothing is known of: they are skipped.",
                    "percentunit",
                    (share(rate("bbqrec_unknown_items_total"), _LOOKED_UP), "unknown"),
                    width=12,
                ),
            ),
        ),
        Row(
            "What is shown",
            (
                stack(
                    "Popular, rare, new",
                    "Share of items shown: head, the most used that have half of all uses; tail,"
                    " others that were used; new, what training saw nobody use, live items too.",
                    "percentunit",
                    (
                        share(rate("bbqrec_shown_total", by="part"), rate("bbqrec_shown_total")),
                        "{{part}}",
                    ),
                ),
                lines(
                    "New items",
                    "Their share among what is shown; `/model` tells what it was in evaluation.",
                    "percentunit",
                    (
                        share(rate("bbqrec_shown_total", 'part="new"'), rate("bbqrec_shown_total")),
                        "new",
                    ),
                ),
                lines(
                    "Coverage",
                    "Share of a bundle's items shown at least once this hour or the one before, by"
                    " the worker that showed most.",
                    "percentunit",
                    (f"{highest('bbqrec_shown_coverage', by='digest')} > 0", "{{digest}}"),
                ),
            ),
        ),
        Row(
            "Scores",
            (
                lines(
                    "Drift",
                    "Population stability index of best scores in the last hour beside the bundle's"
                    " deciles: below 0.1 nothing to see, above 0.25 BbqrecScoresDrift fires. A"
                    " bundle exported without deciles has none.",
                    "none",
                    (f"{DRIFT}{{{_JOB}}}", "{{job}}"),
                ),
                stack(
                    "Deciles",
                    "Share of answers whose best score is in each tenth of the bundle's own, 0 the"
                    " lowest: all alike while nothing drifts.",
                    "percentunit",
                    (
                        share(
                            rate("bbqrec_score_decile_total", by="decile"),
                            rate("bbqrec_score_decile_total"),
                        ),
                        "{{decile}}",
                    ),
                ),
                lines(
                    "Shadow",
                    "Mean share of the top 10 that a shadow gives too, where there is one; requests"
                    " a second that it was not asked.",
                    "none",
                    (
                        share(
                            rate("bbqrec_shadow_agreement_sum"),
                            rate("bbqrec_shadow_agreement_count"),
                        ),
                        "agreement",
                    ),
                    (rate("bbqrec_shadow_skipped_total"), "skipped"),
                ),
            ),
        ),
        Row(
            "What came of it",
            (
                lines(
                    "Click-through",
                    "Share of answers of which anything was clicked, since who answers changed"
                    " last. Whether a difference is more than chance, /experiments says.",
                    "percentunit",
                    _each("clicks"),
                ),
                lines(
                    "Conversions",
                    "Conversions an answer, by variant.",
                    "percentunit",
                    _each("conversions"),
                ),
                lines(
                    "Value",
                    "What conversions brought, a caller, by variant, in the shop's own unit.",
                    "none",
                    _each("value", "callers"),
                ),
            ),
        ),
    ),
)
