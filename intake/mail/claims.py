"""A worker's claims of due mail, with the caps on confirmations applied and counted."""

import logging
import time
from collections.abc import Mapping

from intake.database import Database
from intake.mail import confirmation_caps, outbox
from intake.mail.outbox import OutboxMessage
from intake.metrics import Metrics
from intake.settings import Settings

RELEASE_EVERY_S = 10.0

log = logging.getLogger("intake.workers.mail")


class Claims:
    """Claims mail for one owner, and releases held confirmations every RELEASE_EVERY_S seconds."""

    def __init__(self, settings: Settings, database: Database, metrics: Metrics, *, owner: str) -> None:
        self._settings, self._database, self._metrics, self._owner = settings, database, metrics, owner
        self._release_at = 0.0
        self.has_held = False  # the last claim held mails, so that other due mail may be behind them

    def claim(self, limit: int) -> list[OutboxMessage]:
        """Claim up to `limit` due mails. Raises DatabaseUnavailable."""
        per_hour = self._settings.confirmations_per_hour
        if time.monotonic() >= self._release_at:
            self._count("suppressed", confirmation_caps.release(self._database, per_hour=per_hour))
            self._release_at = time.monotonic() + RELEASE_EVERY_S
        self.has_held = False
        return outbox.claim(
            self._database,
            owner=self._owner,
            limit=limit,
            alert_interval_s=self._settings.alert_interval_s,
            confirmations_per_hour=per_hour,
            on_held=self._on_held,
        )

    def _on_held(self, counts: Mapping[str, int]) -> None:
        self.has_held = True
        self._count("held", counts)

    def _count(self, outcome: str, counts: Mapping[str, int]) -> None:
        for cap, count in counts.items():
            self._metrics.capped.labels(cap, outcome).inc(count)
            log.warning("confirmations over the %s cap: %s: %d", cap, outcome, count)
