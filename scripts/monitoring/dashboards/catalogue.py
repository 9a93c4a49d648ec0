"""Catalogue: what is in it, what changes, how far behind anybody is."""

from scripts.monitoring.panels import Dashboard, Row, lines, stack
from scripts.monitoring.promql import added, highest, of, rate

_MEAN_LOAD = f"{added('bbqrec_load_seconds_sum')} / {added('bbqrec_load_seconds_count')}"

DASHBOARD = Dashboard(
    uid="bbqrec-catalogue",
    title="bbqrec catalogue",
    what="Rows, changes, events, and the logs that keep both.",
    rows=(
        Row(
            "Rows",
            (
                lines(
                    "Bundle",
                    "Items of the bundle in service.",
                    "short",
                    (highest("bbqrec_bundle_rows"), "{{instance}}"),
                ),
                lines(
                    "Live",
                    "Items that came while it serves, and may be found. The next bundle takes"
                    " them in.",
                    "short",
                    (highest("bbqrec_live_rows"), "{{instance}}"),
                ),
                lines(
                    "Deleted or replaced",
                    "Rows of the bundle that are found no more; their memory comes back with the"
                    " next bundle.",
                    "short",
                    (highest("bbqrec_gone_rows"), "{{instance}}"),
                ),
            ),
        ),
        Row(
            "Changes",
            (
                stack(
                    "Puts, patches, deletes",
                    "Changes of the log a second, by kind and what came of them, of every process"
                    " that applies them.",
                    "ops",
                    (
                        rate("bbqrec_live_changes_total", by="kind, outcome"),
                        "{{kind}} {{outcome}}",
                    ),
                ),
                lines(
                    "Behind the log of changes",
                    "Of the slowest worker. BbqrecLogLags fires at 10 s.",
                    "s",
                    (highest("bbqrec_log_lag_seconds"), "{{instance}}"),
                ),
                lines(
                    "Position in the log of changes",
                    "Up to where every worker of a replica has applied it: replicas that are well"
                    " are at the same.",
                    "none",
                    (highest("bbqrec_log_position"), "{{instance}}"),
                ),
            ),
        ),
        Row(
            "Events",
            (
                stack(
                    "Kept, shown, repeated, lost",
                    "What users did, and answers as what they were shown, a second.",
                    "ops",
                    (rate("bbqrec_events_total", by="result"), "{{result}}"),
                ),
                lines(
                    "Behind the log of events",
                    "Of the slowest worker, and how long events have waited to be in files."
                    " BbqrecEventsLag fires at 10 s, BbqrecEventsUnstored at 10 min.",
                    "s",
                    (highest("bbqrec_events_lag_seconds"), "{{instance}} heard"),
                    (highest("bbqrec_events_unstored_seconds"), "{{instance}} stored"),
                ),
                lines(
                    "Position in the log of events",
                    "Up to where every worker of a replica knows it.",
                    "none",
                    (highest("bbqrec_events_position"), "{{instance}}"),
                ),
            ),
        ),
        Row(
            "Redis of codes, bundles",
            (
                stack(
                    "Look-ups",
                    "Ids a second whose codes were looked up: of histories in the process, of live"
                    " items in Redis.",
                    "ops",
                    (
                        rate("bbqrec_cache_lookups_total", by="backend, result"),
                        "{{backend}} {{result}}",
                    ),
                ),
                lines(
                    "Redis fails",
                    "Calls given up a second; away: 1 where it failed when it was asked last.",
                    "none",
                    (
                        rate("bbqrec_cache_errors_total", by="instance"),
                        "{{instance}} errors a second",
                    ),
                    (highest("bbqrec_cache_away"), "{{instance}} away"),
                ),
                lines(
                    "Bundles loaded",
                    "In the last hour, well or not; a role that cannot be served; files in service"
                    " that were written over.",
                    "none",
                    (f"sum by (result) (increase({of('bbqrec_loads_total')}[1h]))", "{{result}}"),
                    (highest("bbqrec_load_failing", by="role"), "{{role}} fails"),
                    (highest("bbqrec_bundle_changed"), "{{instance}} written over"),
                ),
                lines(
                    "Time to load",
                    "From a change of the folder to a generation in service: mean since the start.",
                    "s",
                    (_MEAN_LOAD, "{{instance}}"),
                ),
            ),
        ),
    ),
)
