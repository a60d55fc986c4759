"""Time's door: sends the mail that is owed, in an event loop and a thread of its own."""

import asyncio
import logging
import random
import threading
from contextlib import suppress

from intake.database import Database
from intake.errors import DatabaseUnavailable
from intake.mail import outbox
from intake.mail.messages import Composer
from intake.mail.outbox import OwedMail
from intake.mail.retries import retry_delay_s
from intake.mail.transports import ConnectionLost, Deliver, DeliveryFailed, Transport
from intake.metrics import Metrics

POLL_S = 1.0  # for mails that another process wrote down, or that are due again
PAUSE_S = 5.0  # after the database was away
STOP_WITHIN_S = 20.0

log = logging.getLogger("intake.worker")


class Worker:
    """Sends owed mails until it is stopped."""

    def __init__(self, database: Database, composer: Composer, transport: Transport, metrics: Metrics) -> None:
        self._database = database
        self._composer = composer
        self._transport = transport
        self._metrics = metrics
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="intake-worker", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()
        self._stopping = False

    def start(self) -> None:
        """Begin sending."""
        self._thread.start()

    def wake(self) -> None:
        """Look for owed mails now; from any thread."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended: the mail waits in the database
                self._loop.call_soon_threadsafe(self._woken.set)

    def stop(self) -> None:
        """Finish the mail that is under way and claim no more; wait for that STOP_WITHIN_S seconds at the most."""
        self._stopping = True
        self.wake()
        self._thread.join(STOP_WITHIN_S)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        while not self._stopping:
            self._woken.clear()
            await self._wait(await self._round())

    async def _round(self) -> float:
        """Send what is due, and return the seconds to wait before the next look."""
        try:
            await self._send_all()
        except DatabaseUnavailable as error:
            log.warning("the database is away, no mail is sent: %s", error.reason)
        except Exception:
            log.exception("mail is not being sent")  # and must be again, once the cause is gone
        else:
            return POLL_S
        return PAUSE_S

    async def _send_all(self) -> None:
        """Send mails over one connection until none is due."""
        mail = await self._claim()
        if mail is None:
            return
        try:
            async with self._transport() as deliver:
                while mail is not None:
                    is_connected = await self._send_one(deliver, mail)
                    mail = await self._claim() if is_connected else None
        except DeliveryFailed as failure:  # no connection
            if mail is not None:
                await self._failed(mail, failure)

    async def _claim(self) -> OwedMail | None:
        return None if self._stopping else await asyncio.to_thread(outbox.claim, self._database)

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), seconds)

    async def _send_one(self, deliver: Deliver, mail: OwedMail) -> bool:
        """Send the mail, write down what came of it, and return whether the connection can take another."""
        try:
            message = self._composer.compose(mail)
            await deliver(message, mail.recipient)
        except DeliveryFailed as failure:
            await self._failed(mail, failure)
            return not isinstance(failure, ConnectionLost)
        except Exception as error:
            # one mail that can't be made must not keep the others from being sent
            log.exception("mail %d can't be made", mail.id)
            await self._failed(mail, DeliveryFailed(str(error), permanent=False))
        else:
            await asyncio.to_thread(outbox.record_sent, self._database, mail)
            self._metrics.mails.labels("sent").inc()
            log.info("mail %d (%s for lead %d) sent", mail.id, mail.kind, mail.lead_id)
        return True

    async def _failed(self, mail: OwedMail, failure: DeliveryFailed) -> None:
        delay_s = retry_delay_s(
            attempts=mail.attempts,
            age_s=mail.age_s,
            permanent=failure.permanent,
            fraction=random.random(),  # noqa: S311 - it spreads retries, and guards nothing
        )
        await asyncio.to_thread(outbox.record_failure, self._database, mail, reason=str(failure), delay_s=delay_s)
        self._metrics.mails.labels("dead" if delay_s is None else "failed").inc()
        fate = "it is dead" if delay_s is None else f"next try in {delay_s:.0f} s"
        log.warning("mail %d (%s for lead %d) not sent: %s; %s", mail.id, mail.kind, mail.lead_id, failure, fate)
