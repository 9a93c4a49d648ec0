"""Every Prometheus metric of the service, in a registry of its own.

No user or item is a label. Label values are known beforehand and start at zero, so that a dashboard
shows that nothing happened as 0, not as "no data".
"""

from collections.abc import Collection

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

SECONDS = tuple(
    milliseconds / 1000
    for milliseconds in (0.5, 1, 2, 3, 5, 7.5, 10, 15, 25, 50, 100, 250, 500, 1000, 2500)
)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
BACKENDS = ("process", "redis")
STATUSES = ("200", "413", "422", "500", "503", "504")


class Metrics:
    """One attribute a metric; each part of the service writes to its own."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.request = self._seconds("request", "Whole requests.", "route", "status")
        self.queue = self._seconds("queue", "From submission to the start of its batch.")
        self.encode = self._seconds("encode", "Histories to user vectors, a batch.")
        self.search = self._seconds("search", "User vectors to the best items, a batch.")
        self.cache = self._seconds("cache", "Item codes of one history.", "backend")
        self.batch_size = Histogram(
            "bbqrec_batch_size", "Histories a batch.", buckets=BATCHES, registry=self.registry
        )
        self.requests = self._counter("requests", "Requests answered.", "route", "status")
        self.fallbacks = self._counter("fallbacks", "Answers that are not personal.", "reason")
        self.unknown_items = self._counter("unknown_items", "Ids that nothing is known of.")
        self.cache_errors = self._counter("cache_errors", "Failed calls to Redis.")
        self.cache_lookups = self._counter(
            "cache_lookups", "Ids looked up for their codes.", "backend", "result"
        )
        self._provider = self._info("provider", "What computes user vectors.", "provider")
        self._retriever = self._info("retriever", "How items are searched.", "retriever")
        self._model = self._info("model", "The bundle being served.", "digest", "name")
        # Label values resolved once: prometheus_client takes some 5 µs to find them anew.
        self._of_request: dict[tuple[str, int], tuple[Histogram, Counter]] = {}
        self._of_lookup = {
            backend: [self.cache_lookups.labels(backend, result) for result in ("hit", "miss")]
            for backend in BACKENDS
        }
        self._start_at_zero()

    def describe(self, provider: str, retriever: str, digest: str, name: str) -> None:
        """Name the active provider, retriever and bundle."""
        for info in (self._provider, self._retriever, self._model):
            info.clear()
        self._provider.labels(provider).set(1)
        self._retriever.labels(retriever).set(1)
        self._model.labels(digest, name).set(1)

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count and time one request."""
        of_request = self._of_request.get((route, status))
        if of_request is None:
            labels = route, str(status)
            of_request = self.request.labels(*labels), self.requests.labels(*labels)
            self._of_request[route, status] = of_request
        of_request[0].observe(seconds)
        of_request[1].inc()

    def count_lookups(self, backend: str, found: Collection[object | None]) -> None:
        """Count ids that a cache knew and did not know."""
        misses = sum(codes is None for codes in found)
        hit, miss = self._of_lookup[backend]
        hit.inc(len(found) - misses)
        miss.inc(misses)

    def exposition(self) -> bytes:
        """What ``/metrics`` answers."""
        return generate_latest(self.registry)

    def _start_at_zero(self) -> None:
        for status in STATUSES:
            self.request.labels("/recommend", status)
            self.requests.labels("/recommend", status)
        self.fallbacks.labels("popular")
        for backend in BACKENDS:
            self.cache.labels(backend)

    def _seconds(self, name: str, what: str, *labels: str) -> Histogram:
        return Histogram(
            f"bbqrec_{name}_seconds", what, labels, buckets=SECONDS, registry=self.registry
        )

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(f"bbqrec_{name}_total", what, labels, registry=self.registry)

    def _info(self, name: str, what: str, *labels: str) -> Gauge:
        return Gauge(f"bbqrec_{name}_info", what, labels, registry=self.registry)
