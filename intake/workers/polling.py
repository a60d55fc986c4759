"""Loop of workers that poll the database for one job after another."""

import logging
import threading

from intake.errors import DatabaseUnavailable

DATABASE_PAUSE_S = 5.0  # after the database was unavailable

log = logging.getLogger("intake.workers")


class PollingWorker(threading.Thread):
    """A thread that takes steps until it is stopped."""

    consequence: str  # what does not happen while the worker can't work; begins the log's warnings

    def __init__(self, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.stopping = threading.Event()
        self.last_error: str | None = None  # the error that stops all jobs

    def stop(self) -> None:
        """Claim no more jobs, and release the one in progress."""
        self.stopping.set()

    def run(self) -> None:
        """Take steps until the worker is stopped."""
        pause_s = 0.0
        while not self.stopping.wait(pause_s):
            try:
                pause_s = self.step()
            except DatabaseUnavailable as error:
                log.warning("%s, the database is unavailable: %s", self.consequence, error.reason)
                pause_s = DATABASE_PAUSE_S
            except Exception:
                log.exception("%s", self.consequence)
                pause_s = DATABASE_PAUSE_S

    def step(self) -> float:
        """Do one job if there is one, and return the seconds to wait before the next step."""
        raise NotImplementedError
