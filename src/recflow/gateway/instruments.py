"""Prometheus metrics of one gateway process. Scrape every worker, or read the event log, which is complete."""

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from recflow.artifacts.events import Comparison, Exposure, Outcome
from recflow.domain.routes import RoutingTable

_PREFIX = "recflow_gateway_"
_SECONDS = (0.005, 0.01, 0.02, 0.04, 0.07, 0.1, 0.15, 0.2, 0.25, 0.3, 0.5, 1.0)
_TAUS = (-0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
_DIFFERENCES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Instruments:
    """Counters and histograms under `recflow_gateway_`, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = self._counter(
            "requests_total",
            "Answered requests, by the version that was assigned and why another one answered.",
            ("recipe", "version", "arm", "fallback"),
        )
        self._latency = self._histogram("latency_seconds", "From the read request to its answer.", _SECONDS)
        self._refused = self._counter("refused_total", "Requests refused, by code.", ("code",))
        self._outcomes = self._counter("outcomes_total", "Outcomes received.", ("recipe", "kind"))
        self._marked = self._counter(
            "marked_total",
            "Answered requests outside experiments, by why: bot, employee, forced, unidentified.",
            ("recipe", "marked"),
        )
        self._nobody = self._counter(
            "ids_of_nobody_total",
            "Answered requests with an id that stands for nobody, such as undefined or guest.",
            ("recipe",),
        )
        self._mirrored = self._counter("shadow_total", "Mirrored requests.", ("recipe", "version", "result"))
        self._shadow_latency = self._histogram("shadow_latency_seconds", "Time of the shadow version.", _SECONDS)
        self._difference = self._histogram(
            "shadow_score_difference",
            "Mean absolute difference of the shadow's scores from stable's, a request.",
            _DIFFERENCES,
        )
        self._tau = self._histogram(
            "shadow_tau", "Agreement of the shadow with stable (of orders Kendall's tau-b), a request.", _TAUS
        )

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return Counter(f"{_PREFIX}{name}", text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        """Of a version's requests."""
        return Histogram(f"{_PREFIX}{name}", text, ("recipe", "version"), buckets=buckets, registry=self._registry)

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A gauge that is read when it is scraped."""
        Gauge(f"{_PREFIX}{name}", text, registry=self._registry).set_function(read)

    def watch_epochs(self, reads: Mapping[str, Callable[[], float]]) -> None:
        """The epoch that each recipe is routed by."""
        gauge = Gauge(f"{_PREFIX}epoch", "Routing epoch.", ("recipe",), registry=self._registry)
        for recipe, read in reads.items():
            gauge.labels(recipe).set_function(read)

    def answered(self, exposure: Exposure, *, nobody: bool) -> None:
        """Count one answered request; `nobody`: it carried an id that stands for nobody."""
        if exposure.marked:
            self._marked.labels(exposure.recipe, exposure.marked).inc()
        if nobody:
            self._nobody.labels(exposure.recipe).inc()
        version = exposure.assigned_version
        self._requests.labels(exposure.recipe, version, exposure.arm.value, exposure.fallback.value).inc()
        self._latency.labels(exposure.recipe, version).observe(exposure.latency_ms / 1000)

    def refused(self, code: str) -> None:
        """Count one refusal."""
        self._refused.labels(code).inc()

    def acted(self, outcome: Outcome) -> None:
        """Count one outcome."""
        self._outcomes.labels(outcome.recipe, outcome.kind).inc()

    def mirrored(self, table: RoutingTable, result: str, seconds: float | None = None) -> None:
        """Count one mirrored request, with its time unless it was dropped."""
        self._mirrored.labels(table.recipe, table.shadow, result).inc()
        if seconds is not None:
            self._shadow_latency.labels(table.recipe, table.shadow).observe(seconds)

    def compared(self, comparison: Comparison) -> None:
        """How far the shadow's scores and order of one request are from stable's."""
        labels = comparison.recipe, comparison.shadow_version
        self._difference.labels(*labels).observe(comparison.score_difference)
        if comparison.tau is not None:
            self._tau.labels(*labels).observe(comparison.tau)

    def text(self) -> bytes:
        """The metrics as Prometheus reads them."""
        return generate_latest(self._registry)
