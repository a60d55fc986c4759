"""Prometheus metrics."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, start_http_server
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class QueueCounts:
    """Lengths of the queues in the database, and the age of the oldest mail that could be delivered."""

    mails_queued: int
    mails_failed: int
    oldest_mail_s: float
    scans_pending: int
    texts_pending: int
    counted_at: float = field(default_factory=time.time)


class Pool(Protocol):
    """A pool of threads."""

    @property
    def in_use(self) -> int:
        """The number of threads that run a job."""

    @property
    def size(self) -> int:
        """The maximum number of threads."""

    @property
    def waiting(self) -> int:
        """The number of jobs that wait for a thread."""


class Connections(Protocol):
    """A pool of database connections."""

    @property
    def connections_in_use(self) -> int:
        """The number of connections in use."""

    @property
    def max_connections(self) -> int:
        """The maximum number of connections."""


class Metrics:
    """The metrics of one process, which `process` describes as its number of how many that serve one address."""

    def __init__(self, *, process: tuple[int, int] = (0, 1)) -> None:
        self._registry = CollectorRegistry()
        counter = partial(Counter, registry=self._registry)
        gauge = partial(Gauge, registry=self._registry)
        self.requests = Histogram(
            "intake_request_seconds",
            "Time to the end of a response, by route, method and status.",
            ("route", "method", "status"),
            registry=self._registry,
        )
        self.errors = counter("intake_errors", "Responses with the status 500: defects, and damaged CVs.")
        about = gauge(
            "intake_process",
            "1 for the process whose metrics these are: its number, and how many processes serve the address.",
            ("number", "of"),
        )
        about.labels(*map(str, process)).set(1)
        self._build = gauge(
            "intake_build_info",
            "1 for this version of the service and the schema that it needs.",
            ("version", "schema"),
        )
        self.in_progress = 0  # requests, changed only by the event loop
        progress = gauge("intake_requests_in_progress", "Requests in progress.")
        progress.set_function(lambda: self.in_progress)
        self._threads = gauge("intake_threads_in_use", "Threads that run a job, by API.", ("api",))
        self._max_threads = gauge("intake_threads_max", "The maximum number of threads, by API.", ("api",))
        self._jobs_waiting = gauge("intake_thread_jobs_waiting", "Jobs that wait for a thread, by API.", ("api",))
        self._connections = gauge("intake_database_connections_in_use", "Database connections in use.")
        self._max_connections = gauge("intake_database_connections_max", "The maximum number of database connections.")
        self.leads = counter("intake_leads", "Leads saved.")
        self.suspects = counter("intake_suspect_leads", "Leads saved that have a sign of spam.")
        self.unknown_fields = counter(
            "intake_unknown_form_fields",
            "Fields of public forms that were ignored because their names are unknown.",
        )
        self.mails = self._counter(
            "intake_mail_attempts", "Attempts to deliver a mail, by outcome.", outcome="sent deferred failed"
        )
        self.capped = counter(
            "intake_capped_confirmations",
            "Confirmations over a cap, by cap (total, domain) and outcome (held, suppressed).",
            ("cap", "outcome"),
        )
        self.refused = self._counter(
            "intake_refused",
            "Requests and connections refused to protect the service, by reason.",
            reason="rate uploads spool requests slow_body threads logins connections headers",
        )
        self.limits_failures = counter("intake_limits_store_failures", "Failures of the limits store.")
        self.scans = self._counter(
            "intake_cv_scans", "Scans of CVs, by outcome.", outcome="clean quarantined too-large-to-scan failed"
        )
        self.texts = self._counter(
            "intake_cv_texts", "Extractions of the text of CVs, by outcome.", outcome="done empty failed retried"
        )
        self.cvs_missing = gauge(
            "intake_cv_objects_missing",
            "Leads whose CV was not in the CV store at the last orphan collection.",
        )
        self.logins = self._counter(
            "intake_logins", "Login attempts and password changes, by outcome.", outcome="right wrong refused"
        )
        self.queues: QueueCounts | None = None  # of a process that runs workers, which count them
        self._registry.register(_QueueCollector(self))

    def _counter(self, name: str, about: str, **values: str) -> Counter:
        """Return a counter by one label, 0 for each value: Prometheus can't see the increase of a new series."""
        [(label, known)] = values.items()
        counter = Counter(name, about, (label,), registry=self._registry)
        for value in known.split():
            counter.labels(value)
        return counter

    def watch_threads(self, api: str, pool: Pool) -> None:
        """Expose the threads of an API."""
        self._threads.labels(api).set_function(lambda: pool.in_use)
        self._max_threads.labels(api).set(pool.size)
        self._jobs_waiting.labels(api).set_function(lambda: pool.waiting)

    def watch_database(self, database: Connections, *, schema: str) -> None:
        """Expose the database connections, and the version of the service and its schema."""
        self._connections.set_function(lambda: database.connections_in_use)
        self._max_connections.set(database.max_connections)
        self._build.labels(version("leadctl"), schema).set(1)

    def serve(self, host: str, port: int) -> int:
        """Serve the metrics over HTTP from a background thread, and return the port in use. Raises OSError."""
        server, _ = start_http_server(port, host, registry=self._registry)
        return server.server_port

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self._registry)


class _QueueCollector(Collector):
    """The gauges of the queues; none until they are counted, so that 0 always means an empty queue."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[GaugeMetricFamily]:
        if (counts := self._metrics.queues) is None:
            return
        gauge = GaugeMetricFamily
        yield gauge("intake_mails_queued", "Mails to be sent, including those that a cap holds.", counts.mails_queued)
        yield gauge("intake_mails_failed", "Mails that failed, and are not retried.", counts.mails_failed)
        yield gauge(
            "intake_mail_oldest_seconds", "Age of the oldest mail that could be delivered.", counts.oldest_mail_s
        )
        yield gauge("intake_cv_scans_pending", "CVs that are not scanned yet.", counts.scans_pending)
        yield gauge("intake_cv_texts_pending", "CVs whose text is not extracted yet.", counts.texts_pending)
        yield gauge("intake_queues_counted_timestamp_seconds", "Time of these counts.", counts.counted_at)
