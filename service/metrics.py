"""Every Prometheus metric of the service, in a registry of its own.

No user or item is a label. Label values are known beforehand and start at zero, so that a dashboard
shows that nothing happened as 0, not as "no data".
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from service.shared_metrics import exposed

# Beyond the deadline of 5 s: a quantile cannot rise above the last bucket.
SECONDS = (
    *(0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0),
)
LOAD_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160)
AGREEMENT = tuple(tenth / 10 for tenth in range(10))
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
BACKENDS = ("process", "redis")
REFUSALS = ("overload", "connections", "head", "slow", "malformed")
CHANGES = ("put", "patch", "delete")
OUTCOMES = ("applied", "stale", "deleted", "refused")
EVENTS = ("kept", "shown", "repeated", "lost")
ROLES = ("current", "canary")  # that answer
ANSWERING = ("/recommend", "/recommend/batch")
STATUSES = ("200", "413", "422", "500", "503", "504")
FAILURES = ("500", "503", "504")
FALLBACKS = ("popular", "popular_in_context")
PARTS = ("head", "tail", "new")
DECILES = 10


class Serving(NamedTuple):
    """A generation, as metrics name it."""

    digest: str
    name: str
    provider: str
    retriever: str
    items: int = 0  # rows of its catalogue


class Counts(NamedTuple):
    """What one variant of a trial showed, and what came of it."""

    answers: float
    items: float
    clicks: float
    conversions: float
    value: float
    callers: float


NO_COUNTS = Counts(0, 0, 0, 0, 0, 0)


class Metrics:
    """One attribute a metric; each part of the service writes to its own."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._exposed = exposed(self.registry)
        self._serving: set[Gauge] = set()
        self._of_requests()
        self._of_the_cache()
        self._of_live_items()
        self._of_generations()
        self._of_events()
        self._of_what_is_shown()
        self._of_the_process()
        # Label values resolved once: prometheus_client takes some 5 µs to find them anew.
        self._of_request: dict[tuple[str, int], tuple[Histogram, Counter]] = {}
        self._of_refusal: dict[tuple[str, str], tuple[Counter, Counter]] = {}
        self._of_role = {role: self.answer.labels(role) for role in ROLES}
        self._of_lookup = {
            backend: [self.cache_lookups.labels(backend, result) for result in ("hit", "miss")]
            for backend in BACKENDS
        }
        self._of_outcome = {
            role: [self._outcomes.labels(role, outcome) for outcome in Counts._fields]
            for role in ROLES
        }
        self._start_at_zero()

    def serve(self, serving: Mapping[str, Serving]) -> None:
        """Name what is in service, by role; nothing else is from then on."""
        named = {
            gauge
            for role, found in serving.items()
            for gauge in (
                self._provider.labels(found.provider),
                self._retriever.labels(found.retriever),
                self._model.labels(found.digest, found.name, role),
            )
        }
        for gauge in self._serving - named:
            gauge.set(0)
        for gauge in named:
            gauge.set(1)
        self._serving = named
        self.workers.set("current" in serving)
        self.bundle_rows.set(serving["current"].items if "current" in serving else 0)

    def ask_for(self, provider: str) -> None:
        """Name what is to compute user vectors; ``serve`` names what does."""
        self._asked.labels(provider).set(1)

    def loaded(self, seconds: float) -> None:
        """A generation came into service."""
        self.load_seconds.observe(seconds)
        self._loads.labels("ok").inc()

    def load_failed(self, role: str) -> None:
        """A bundle that should serve cannot."""
        self._loads.labels("failed").inc()
        self._load_failing.labels(role).set(1)

    def load_mended(self, role: str) -> None:
        """What should serve does, again."""
        self._load_failing.labels(role).set(0)

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count and time one request."""
        of_request = self._of_request.get((route, status))
        if of_request is None:
            labels = route, str(status)
            of_request = self.request.labels(*labels), self.requests.labels(*labels)
            self._of_request[route, status] = of_request
        of_request[0].observe(seconds)
        of_request[1].inc()

    def time_answer(self, role: str, seconds: float) -> None:
        """Of the generation in this role."""
        self._of_role[role].observe(seconds)

    def count_refusal(self, reason: str, route: str, status: int) -> None:
        """Count a request that never reached the application; it took no time worth a bucket."""
        of_refusal = self._of_refusal.get((reason, route))
        if of_refusal is None:
            of_refusal = self.refused.labels(reason), self.requests.labels(route, str(status))
            self._of_refusal[reason, route] = of_refusal
        for counter in of_refusal:
            counter.inc()

    def count_lookups(self, backend: str, found: Collection[object | None]) -> None:
        """Count ids that a cache knew and did not know."""
        misses = sum(codes is None for codes in found)
        hit, miss = self._of_lookup[backend]
        hit.inc(len(found) - misses)
        miss.inc(misses)

    def tell_outcomes(self, by_role: Mapping[str, Counts]) -> None:
        """What the log has come to; a role that nobody has counts nothing."""
        for role in ROLES:
            counts = by_role.get(role, NO_COUNTS)
            for gauge, count in zip(self._of_outcome[role], counts, strict=True):
                gauge.set(count)

    def exposition(self) -> bytes:
        """What ``/metrics`` answers."""
        return generate_latest(self._exposed)

    def _of_requests(self) -> None:
        self.request = self._seconds("request", "Whole requests.", "route", "status")
        self.answer = self._seconds("answer", "What one generation takes to answer.", "role")
        self.queue = self._seconds("queue", "From submission to the start of its batch.")
        self.encode = self._seconds("encode", "Histories to user vectors, a batch.")
        self.search = self._seconds("search", "User vectors to the best items, a batch.")
        self.batch_size = self._histogram("batch_size", "Histories a batch.", BATCHES)
        self.requests = self._counter("requests", "Requests answered.", "route", "status")
        self.batch_failures = self._counter(
            "batch_failures", "Batches that lack an answer, by the worst status of one.", "status"
        )
        self.refused = self._counter(
            "refused", "Requests and connections refused before the application.", "reason"
        )
        self.fallbacks = self._counter("fallbacks", "Answers that are not personal.", "reason")
        self.unknown_items = self._counter("unknown_items", "Ids that nothing is known of.")
        self.scenarios_refused = self._gauge(
            "scenarios_refused", "1: the file of scenarios, as it is now, is not used."
        )

    def _of_the_cache(self) -> None:
        self.cache = self._seconds("cache", "Item codes of one history.", "backend")
        self.cache_errors = self._counter("cache_errors", "Calls to Redis given up.")
        self.cache_away = self._gauge(
            "cache_away", "1: Redis failed when it was asked last, and is left alone."
        )
        self.cache_lookups = self._counter(
            "cache_lookups", "Ids looked up for their codes.", "backend", "result"
        )

    def _of_live_items(self) -> None:
        self.live_changes = self._counter(
            "live_changes", "Changes of the log, applied to a generation or not.", "kind", "outcome"
        )
        self.live_rows = self._gauge("live_rows", "Live items that may be found.")
        self.gone_rows = self._gauge("gone_rows", "Items of the bundle deleted or replaced.")
        self.bundle_rows = self._gauge("bundle_rows", "Items of the bundle in service.")
        self.log_lag = self._gauge(
            "log_lag_seconds", "How far the slowest worker is behind the log of changes."
        )
        self.log_position = self._least(
            "log_position", "Up to where every worker has applied the log of changes."
        )

    def _of_generations(self) -> None:
        self._provider = self._info("provider", "What computes user vectors.", "provider")
        self._asked = self._info("provider_asked", "What was asked to compute them.", "provider")
        self._retriever = self._info("retriever", "How items are searched.", "retriever")
        self._model = self._info("model", "Bundles in service.", "digest", "name", "role")
        self.load_seconds = self._histogram(
            "load_seconds", "From a change of the folder to a generation in service.", LOAD_SECONDS
        )
        self._loads = self._counter("loads", "Generations loaded, or not.", "result")
        self._load_failing = self._gauge(
            "load_failing", "1: what should serve in this role cannot.", "role"
        )
        self.bundle_changed = self._gauge(
            "bundle_changed", "1: files of a bundle in service were written over."
        )
        self.shadow_agreement = self._histogram(
            "shadow_agreement", "Share of the top 10 that a shadow gives too.", AGREEMENT
        )
        self.shadow_skipped = self._counter("shadow_skipped", "Requests a shadow was not asked.")

    def _of_events(self) -> None:
        self.events = self._counter(
            "events", "What users did or were shown: kept, sent again, or lost.", "result"
        )
        self.events_lag = self._gauge(
            "events_lag_seconds", "How far the slowest worker is behind the log of events."
        )
        self.events_position = self._least(
            "events_position", "Up to where every worker knows the log of events."
        )
        self.events_unstored = self._gauge(
            "events_unstored_seconds", "How long events have waited to be in files."
        )

    def _of_what_is_shown(self) -> None:
        # Every process counts all of the log: of several that say the same, the furthest is told.
        self._outcomes = self._gauge(
            "outcomes",
            "What was shown and what came of it, since who answers changed last.",
            "role",
            "outcome",
        )
        self.shown = self._counter(
            "shown",
            "Items shown: of the most used that have half of all uses, others, new.",
            "part",
        )
        self.coverage = self._gauge(
            "shown_coverage",
            "Share of a bundle's items that the worker which showed most has shown this hour or "
            "the one before.",
            "digest",
        )
        self.score_decile = self._counter(
            "score_decile",
            "Answers by where their best score is among the deciles of the bundle's own.",
            "decile",
        )

    def _of_the_process(self) -> None:
        self.workers = self._sum("workers", "Processes that serve.")
        self.in_flight = self._sum("requests_in_flight", "Requests being answered, a scrape too.")
        self.queue_depth = self._sum("queue_depth", "Histories that wait for a batch.")
        self.admission_used = self._gauge(
            "admission_used",
            "Most requests in flight, as a share of those that are let in, of the fullest worker.",
        )
        self.loop_lag = self._seconds("loop_lag", "How late the event loop does what is due.")

    def _start_at_zero(self) -> None:
        for route in ANSWERING:
            for status in STATUSES:
                self.request.labels(route, status)
                self.requests.labels(route, status)
        for status in FAILURES:
            self.batch_failures.labels(status)
        for fallback in FALLBACKS:
            self.fallbacks.labels(fallback)
        for backend in BACKENDS:
            self.cache.labels(backend)
        for part in PARTS:
            self.shown.labels(part)
        for decile in range(DECILES):
            self.score_decile.labels(str(decile))
        for result in ("ok", "failed"):
            self._loads.labels(result)
        self._load_failing.labels("current")
        for reason in REFUSALS:
            self.refused.labels(reason)
        for result in EVENTS:
            self.events.labels(result)
        for kind in CHANGES:
            for outcome in OUTCOMES:
                self.live_changes.labels(kind, outcome)

    def _seconds(self, name: str, what: str, *labels: str) -> Histogram:
        return self._histogram(f"{name}_seconds", what, SECONDS, *labels)

    def _histogram(self, name: str, what: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(f"bbqrec_{name}", what, labels, buckets=buckets, registry=self.registry)

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(f"bbqrec_{name}_total", what, labels, registry=self.registry)

    def _sum(self, name: str, what: str) -> Gauge:
        """Of all processes that live."""
        return Gauge(f"bbqrec_{name}", what, registry=self.registry, multiprocess_mode="livesum")

    def _least(self, name: str, what: str) -> Gauge:
        """Of the live process that has least."""
        return Gauge(f"bbqrec_{name}", what, registry=self.registry, multiprocess_mode="livemin")

    def _info(self, name: str, what: str, *labels: str) -> Gauge:
        return self._gauge(f"{name}_info", what, *labels)

    def _gauge(self, name: str, what: str, *labels: str) -> Gauge:
        return Gauge(
            f"bbqrec_{name}", what, labels, registry=self.registry, multiprocess_mode="livemax"
        )
