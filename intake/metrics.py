"""Prometheus metrics."""

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, start_http_server

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


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
        about = gauge(
            "intake_process",
            "1 for the process whose metrics these are: its number, and how many processes serve the address.",
            ("number", "of"),
        )
        about.labels(*map(str, process)).set(1)
        self.in_progress = 0  # requests, changed only by the event loop
        progress = gauge("intake_requests_in_progress", "Requests in progress.")
        progress.set_function(lambda: self.in_progress)
        self.leads = counter("intake_leads", "Leads saved.")
        self.unknown_fields = counter(
            "intake_unknown_form_fields",
            "Fields of public forms that were ignored because their names are unknown.",
        )
        self.mails = counter("intake_mail_attempts", "Attempts to deliver a mail, by outcome.", ("outcome",))
        self.capped = counter(
            "intake_capped_confirmations",
            "Confirmations over a cap, by cap (total, domain) and outcome (held, suppressed).",
            ("cap", "outcome"),
        )
        self.refused = counter("intake_refused", "Requests refused to protect the service, by reason.", ("reason",))
        self.limits_failures = counter("intake_limits_store_failures", "Failures of the limits store.")
        self.scans = counter("intake_cv_scans", "Scans of CVs, by outcome.", ("outcome",))
        self.texts = counter("intake_cv_texts", "Extractions of the text of CVs, by outcome.", ("outcome",))
        self.texts_pending = gauge("intake_cv_texts_pending", "CVs whose text is not extracted yet.")
        self.cvs_missing = gauge(
            "intake_cv_objects_missing",
            "Leads whose CV was not in the CV store at the last orphan collection.",
        )
        self.logins = counter("intake_logins", "Login attempts and password changes, by outcome.", ("outcome",))

    def serve(self, host: str, port: int) -> int:
        """Serve the metrics over HTTP from a background thread, and return the port in use. Raises OSError."""
        server, _ = start_http_server(port, host, registry=self._registry)
        return server.server_port

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self._registry)
