"""Upload concurrency limits: slots and bytes, in total and for each client."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from intake.errors import ServiceBusy
from intake.http.request_state import AppRequest
from intake.settings import Settings

CLIENT_SHARE = 4  # one client may use a quarter


@dataclass
class _Usage:
    uploads: int = 0
    spool_bytes: int = 0


class UploadLimiter:
    """One API's limits of concurrent uploads and their bytes; each client may use 1/CLIENT_SHARE of both.

    A single upload of `largest_bytes` is always accepted.
    """

    def __init__(self, settings: Settings, *, largest_bytes: int) -> None:
        uploads, spool_bytes = settings.max_uploads, settings.max_spool_bytes
        self._exempt = settings.rate_limit_exempt
        self._largest = largest_bytes
        self._limits = _Usage(uploads, max(spool_bytes, largest_bytes))
        self._client_limits = _Usage(max(uploads // CLIENT_SHARE, 1), max(spool_bytes // CLIENT_SHARE, largest_bytes))
        self._total = _Usage()
        self._by_client: dict[str, _Usage] = {}

    @contextmanager
    def acquire(self, request: AppRequest) -> Iterator[None]:
        """Reserve a slot and bytes for the request's body. Raises ServiceBusy at once."""
        client = request.state["client"]
        size = self._size(request.headers.get("content-length", ""))
        _check(self._total, self._limits, size, "too many uploads are in progress")
        usages = [self._total]
        if not client.is_in(self._exempt):
            own = self._by_client.get(client.key, _Usage())
            _check(own, self._client_limits, size, "too many uploads from this address are in progress")
            usages.append(self._by_client.setdefault(client.key, own))
        _add(usages, 1, size)
        try:
            yield
        finally:
            _add(usages, -1, -size)
            if len(usages) > 1 and not usages[1].uploads:
                del self._by_client[client.key]

    def _size(self, declared: str) -> int:
        """Return the bytes to reserve: Content-Length capped at the maximum; the maximum if absent."""
        is_number = declared.isascii() and declared.isdigit() and len(declared) < 20
        return min(int(declared), self._largest) if is_number else self._largest


def _check(usage: _Usage, limits: _Usage, size: int, detail: str) -> None:
    if usage.uploads >= limits.uploads:
        raise ServiceBusy(f"{detail}; try again later", reason="uploads")
    if usage.spool_bytes + size > limits.spool_bytes:
        raise ServiceBusy(f"{detail} and leave no space for this one; try again later", reason="spool")


def _add(usages: Sequence[_Usage], uploads: int, size: int) -> None:
    for usage in usages:
        usage.uploads += uploads
        usage.spool_bytes += size
