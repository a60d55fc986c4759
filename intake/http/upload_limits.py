"""Upload concurrency limits: slots and bytes, in total and for each client."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from intake.errors import ServiceBusy
from intake.http.request_state import AppRequest
from intake.settings import Settings

CLIENT_SHARE = 4  # of what there is, one client gets this part


@dataclass
class _Use:
    uploads: int = 0
    spool_bytes: int = 0


class UploadLimiter:
    """One door's room for uploads: so many at once, and so many bytes; for each client a SHARE-th of it.

    One upload of `largest_bytes` always has room where there is no other.
    """

    def __init__(self, settings: Settings, *, largest_bytes: int) -> None:
        uploads, spool_bytes = settings.max_uploads, settings.max_spool_bytes
        self._exempt = settings.rate_limit_exempt
        self._largest = largest_bytes
        self._most = _Use(uploads, max(spool_bytes, largest_bytes))
        self._most_of_one = _Use(max(uploads // CLIENT_SHARE, 1), max(spool_bytes // CLIENT_SHARE, largest_bytes))
        self._all = _Use()
        self._of_one: dict[str, _Use] = {}

    @contextmanager
    def acquire(self, request: AppRequest) -> Iterator[None]:
        """Hold a place for the request's body, and room for what it says it has. Raises ServiceBusy at once."""
        client = request.state["client"]
        size = self._size(request.headers.get("content-length", ""))
        _check(self._all, self._most, size, "too many uploads are under way")
        uses = [self._all]
        if not client.is_in(self._exempt):
            own = self._of_one.get(client.key, _Use())
            _check(own, self._most_of_one, size, "too many uploads from this address are under way")
            uses.append(self._of_one.setdefault(client.key, own))
        _add(uses, 1, size)
        try:
            yield
        finally:
            _add(uses, -1, -size)
            if len(uses) > 1 and not uses[1].uploads:
                del self._of_one[client.key]

    def _size(self, declared: str) -> int:
        """Return the bytes to hold: none come of what is too large, and what is not declared may be as large as any."""
        is_number = declared.isascii() and declared.isdigit() and len(declared) < 20
        return min(int(declared), self._largest) if is_number else self._largest


def _check(use: _Use, most: _Use, size: int, detail: str) -> None:
    if use.uploads >= most.uploads:
        raise ServiceBusy(f"{detail}; try again later", reason="uploads")
    if use.spool_bytes + size > most.spool_bytes:
        raise ServiceBusy(f"{detail}, and leave no room for another; try again later", reason="spool")


def _add(uses: Sequence[_Use], uploads: int, size: int) -> None:
    for use in uses:
        use.uploads += uploads
        use.spool_bytes += size
