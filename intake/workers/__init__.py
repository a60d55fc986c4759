"""Background workers: mail delivery, CV scans, CV texts and maintenance."""

import time

from intake.cv_text import sandbox
from intake.database import Database
from intake.mail.messages import MessageBuilder
from intake.mail.transports import MaildirTransport, SmtpTransport, Transport
from intake.metrics import Metrics
from intake.settings import Settings
from intake.workers.mail import MailWorker
from intake.workers.maintenance import Maintenance
from intake.workers.scans import ScanWorker
from intake.workers.texts import TextWorker

SMTP_CONNECTIONS = 4
# database connections: one for the results of each SMTP connection, and one each for claims, scans, texts and
# maintenance
WORKER_CONNECTIONS = SMTP_CONNECTIONS + 4
END_WITHIN_S = 1.0  # of the grace period, for the rest of the process


class Workers:
    """The workers of one process, started and stopped at the same time."""

    def __init__(self, settings: Settings, database: Database, metrics: Metrics) -> None:
        """Build the workers without starting them. Raises TemplateInvalid."""
        self.mail = MailWorker(settings, database, MessageBuilder(settings), _transports(settings), metrics)
        self.scans = ScanWorker(settings.clamd, database, metrics) if settings.clamd else None
        self.texts = TextWorker(settings.cv_sandbox, database, metrics) if settings.cv_text else None
        self.maintenance = Maintenance(settings, database, metrics)
        self._grace_s = settings.shutdown_grace_s
        self._stop_by: float | None = None
        self._all = [worker for worker in (self.mail, self.scans, self.texts, self.maintenance) if worker]

    @property
    def errors(self) -> dict[str, str | None]:
        """The errors that stop all mail, scans or texts, or the collection of orphans; None where all is well."""
        return {
            "mail": self.mail.last_error,
            "scan": self.scans.last_error if self.scans else None,
            "cv_text": self.texts.last_error if self.texts else None,
            "cv_store": self.maintenance.store_hold,
        }

    @property
    def cv_sandbox(self) -> str | None:
        """The active parts of the sandbox in which texts are extracted, if they are."""
        return sandbox.describe() if self.texts else None

    def start(self) -> None:
        """Start every worker in its own thread."""
        for worker in self._all:
            worker.start()

    def wake(self) -> None:
        """Poll for queued mails now. Thread-safe."""
        self.mail.wake()

    def stop(self) -> None:
        """Have all workers finish or release their work, within INTAKE_SHUTDOWN_GRACE from the first call."""
        self._stop_by = self._stop_by or time.monotonic() + self._grace_s - END_WITHIN_S
        for worker in self._all:
            worker.stop()

    def join(self) -> None:
        """Wait until the workers have stopped; a thread that has not by then ends with the process."""
        for worker in self._all:
            worker.join(max(0.0, (self._stop_by or 0.0) - time.monotonic()))


def _transports(settings: Settings) -> list[Transport]:
    if (server := settings.smtp_server) is None:
        return [MaildirTransport(settings.beside_database(".maildir"))]
    return [SmtpTransport(server, sender=settings.mail_from.address) for _ in range(SMTP_CONNECTIONS)]
