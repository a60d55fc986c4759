"""Background workers: mail delivery, CV scans and maintenance."""

from intake.database import Database
from intake.mail.messages import MessageBuilder
from intake.mail.transports import MaildirTransport, SmtpTransport, Transport
from intake.metrics import Metrics
from intake.settings import Settings
from intake.workers.mail import MailWorker
from intake.workers.maintenance import Maintenance
from intake.workers.scans import ScanWorker

SMTP_CONNECTIONS = 4
# database connections: one for the results of each SMTP connection, and one each for claims, scans and maintenance
WORKER_CONNECTIONS = SMTP_CONNECTIONS + 3


class Workers:
    """The workers of one process, started and stopped side by side."""

    def __init__(self, settings: Settings, database: Database, metrics: Metrics) -> None:
        """Build the workers without starting them. Raises TemplateInvalid."""
        builder = MessageBuilder(sender=settings.mail_from, directory=settings.mail_templates)
        self.mail = MailWorker(settings, database, builder, _transports(settings), metrics)
        self.scans = ScanWorker(settings.clamd, database, metrics) if settings.clamd else None
        self.maintenance = Maintenance(settings, database, metrics)
        self._all = [worker for worker in (self.mail, self.scans, self.maintenance) if worker]

    @property
    def last_error(self) -> str | None:
        """The error that stops all mail, or None."""
        return self.mail.last_error

    @property
    def last_scan_error(self) -> str | None:
        """The error that stops all scans, or None."""
        return self.scans.last_error if self.scans else None

    @property
    def store_hold(self) -> str | None:
        """The reason why orphans in the CV store are not collected, or None."""
        return self.maintenance.store_hold

    def start(self) -> None:
        """Start every worker in its own thread."""
        for worker in self._all:
            worker.start()

    def wake(self) -> None:
        """Poll for queued mails and pending scans now. Thread-safe."""
        self.mail.wake()
        if self.scans:
            self.scans.wake()

    def stop(self) -> None:
        """Stop all workers at the same time, and wait until they have finished or released their work."""
        for worker in self._all:
            worker.stop()
        for worker in self._all:
            worker.join()


def _transports(settings: Settings) -> list[Transport]:
    if (server := settings.smtp_server) is None:
        return [MaildirTransport(settings.beside_database(".maildir"))]
    return [SmtpTransport(server, sender=settings.mail_from.address) for _ in range(SMTP_CONNECTIONS)]
