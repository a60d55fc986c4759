"""Prometheus metrics."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, start_http_server

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The metrics of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Histogram(
            "intake_request_seconds",
            "Time to the end of a response, by route, method and status.",
            ("route", "method", "status"),
            registry=self._registry,
        )
        self.in_progress = 0  # requests, changed only by the event loop
        progress = Gauge("intake_requests_in_progress", "Requests in progress.", registry=self._registry)
        progress.set_function(lambda: self.in_progress)
        self.leads = Counter("intake_leads", "Leads saved.", registry=self._registry)
        self.unknown_fields = Counter(
            "intake_unknown_form_fields",
            "Fields of public forms that were ignored because their names are unknown.",
            registry=self._registry,
        )
        self.mails = Counter(
            "intake_mail_attempts",
            "Attempts to deliver a mail, by outcome.",
            ("outcome",),
            registry=self._registry,
        )
        self.capped = Counter(
            "intake_capped_confirmations",
            "Confirmations over a cap, by cap (total, domain) and outcome (held, suppressed).",
            ("cap", "outcome"),
            registry=self._registry,
        )
        self.refused = Counter(
            "intake_refused",
            "Requests refused to protect the service, by reason.",
            ("reason",),
            registry=self._registry,
        )
        self.limits_failures = Counter(
            "intake_limits_store_failures", "Failures of the limits store.", registry=self._registry
        )
        self.scans = Counter("intake_cv_scans", "Scans of CVs, by outcome.", ("outcome",), registry=self._registry)
        self.cvs_missing = Gauge(
            "intake_cv_objects_missing",
            "Leads whose CV was not in the CV store at the last orphan collection.",
            registry=self._registry,
        )

        self.logins = Counter(
            "intake_logins",
            "Login attempts and password changes, by outcome.",
            ("outcome",),
            registry=self._registry,
        )

    def serve(self, host: str, port: int) -> int:
        """Serve the metrics over HTTP from a background thread, and return the port in use. Raises OSError."""
        server, _ = start_http_server(port, host, registry=self._registry)
        return server.server_port

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self._registry)
