"""Limit of concurrent requests per client."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from intake.errors import ServiceBusy
from intake.http.client_address import Client
from intake.settings import Settings


class ConcurrencyLimiter:
    """Limits a client's concurrent requests to the number of connections that it may have.

    Connections are limited when they are opened, but those of a proxy are exempt: one client behind it could fill them
    with slow bodies.
    """

    def __init__(self, settings: Settings) -> None:
        self._max_requests = settings.connections_of_client
        self._exempt = settings.unbounded_clients
        self._running: Counter[str] = Counter()

    @contextmanager
    def acquire(self, client: Client) -> Iterator[ServiceBusy | None]:
        """Count a request while it runs; provide the error with which to refuse it, if the client has too many."""
        if self._exempt and client.is_in(self._exempt):
            yield None
        elif self._running[client.key] >= self._max_requests:
            yield ServiceBusy("too many concurrent requests from this address; try again later", reason="requests")
        else:
            self._running[client.key] += 1
            try:
                yield None
            finally:
                self._running[client.key] -= 1
                if not self._running[client.key]:
                    del self._running[client.key]
