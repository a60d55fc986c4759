"""Time's door: sends the mail that is owed, in an event loop and a thread of its own, beside maintenance and scans.

Any number of workers in any number of processes share one outbox. A mail is claimed with a lease, which is renewed
while its holder lives; its result is committed before its connection takes the next one; and no transaction is open
while SMTP is spoken.
"""

import asyncio
import logging
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from intake.database import Database
from intake.errors import DatabaseUnavailable
from intake.mail import outbox
from intake.mail.backoff import retry_delay_s
from intake.mail.claims import Claims
from intake.mail.messages import MessageBuilder
from intake.mail.outbox import OutboxMessage
from intake.mail.transports import DeliveryFailed, SmtpAuthenticationFailed, Transport
from intake.metrics import Metrics
from intake.settings import Settings
from intake.workers.maintenance import Maintenance
from intake.workers.scans import ScanWorker

HELD_PER_CONNECTION = 8  # one under way, and some at hand: a claim costs as much for many as for one
LOOKS_APART_S = 0.05  # while mails come in one by one, so that a claim takes several
POLL_S = 0.5  # for mails that another process wrote down, or that are due again: seen within a second
PAUSE_S = 5.0  # after the database was away
LOGIN_PAUSE_S = 60.0  # after the relay refused our login; more attempts would not mend it
IDLE_S = 5.0  # after which a connection that has nothing to do is closed
OTHER_THREADS = 3  # one that claims and renews, one that cleans up, and one that has CVs scanned
STOP_WITHIN_S = 20.0

log = logging.getLogger("intake.workers.mail")


class MailWorker:
    """Sends owed mails over some connections, one for each of the transports, until it is stopped."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        composer: MessageBuilder,
        transports: Sequence[Transport],
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._database = database
        self._composer = composer
        self._transports = transports
        self._metrics = metrics
        owner = f"{socket.gethostname()}:{os.getpid()}"
        self._claims = Claims(settings, database, metrics, owner=owner)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="intake-worker", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()
        self._queue: asyncio.Queue[OutboxMessage | None] = asyncio.Queue()
        self._held: dict[int, OutboxMessage] = {}
        self._is_more = True  # whether the last look left mails that are due
        self._paused_until = 0.0
        self._stopping = False
        self._last_error: str | None = None
        self._scanner = ScanWorker(settings.clamd, database, metrics) if settings.clamd else None
        self._maintenance = Maintenance(settings, database, metrics)

    @property
    def last_error(self) -> str | None:
        """What keeps every mail from being sent, if anything does."""
        has_ended = not self._thread.is_alive() and not self._stopping
        return "the worker has ended: start the service anew" if has_ended else self._last_error

    @property
    def last_scan_error(self) -> str | None:
        """What keeps every CV from being scanned, if anything does."""
        return self._scanner.last_error if self._scanner else None

    @property
    def store_hold(self) -> str | None:
        """Why orphans in the CV store are not collected, if a hold is in it."""
        return self._maintenance.store_hold

    def start(self) -> None:
        """Begin sending, and scanning where there is a clamd."""
        self._thread.start()
        if self._scanner:
            self._scanner.start()
        self._maintenance.start()

    def wake(self) -> None:
        """Look for owed mails and scans now; from any thread."""
        if self._scanner:
            self._scanner.wake()
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended: the mail waits in the database
                self._loop.call_soon_threadsafe(self._woken.set)

    def stop(self) -> None:
        """Claim no more, finish the mails that are under way within STOP_WITHIN_S seconds, and give back the rest."""
        self._stopping = True
        self._maintenance.stop()
        self.wake()
        self._thread.join(STOP_WITHIN_S + PAUSE_S)
        if self._scanner:
            self._scanner.stop()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        # a thread for each connection's results, and one to claim and to renew
        self._loop.set_default_executor(ThreadPoolExecutor(len(self._transports) + 1))
        senders = [asyncio.create_task(self._send_all(transport)) for transport in self._transports]
        renewal = asyncio.create_task(self._renew())
        while not self._stopping:
            self._woken.clear()
            pause_s = await self._look()
            if not self._is_more:
                await asyncio.sleep(LOOKS_APART_S)
            await self._wait(pause_s)
        await self._end(senders)
        renewal.cancel()

    async def _end(self, senders: Sequence[asyncio.Task[None]]) -> None:
        waiting = []
        while not self._queue.empty():
            waiting.append(self._queue.get_nowait())
        for _ in senders:
            self._queue.put_nowait(None)
        await self._give_back([mail for mail in waiting if mail])
        _, unfinished = await asyncio.wait(senders, timeout=STOP_WITHIN_S)
        for task in unfinished:
            task.cancel()
        await self._give_back(list(self._held.values()))

    async def _look(self) -> float:
        """Claim what there is room for, and return the seconds to wait before the next look."""
        if (pause := self._paused_until - time.monotonic()) > 0:
            return pause
        # one mail is enough to find out whether the relay lets us in again
        most = 1 if self._last_error else HELD_PER_CONNECTION * len(self._transports)
        room = most - len(self._held)
        if room * 2 < most:
            self._is_more = True
            return POLL_S
        try:
            mails = await asyncio.to_thread(lambda: self._claims.claim(room))
        except DatabaseUnavailable as error:
            log.warning("the database is away, no mail is sent: %s", error.reason)
            return PAUSE_S
        except Exception:
            log.exception("no mail is sent")
            return PAUSE_S
        self._is_more = len(mails) == room
        for mail in mails:
            self._held[mail.id] = mail
            self._queue.put_nowait(mail)
        return 0.0 if self._claims.held_some else POLL_S

    async def _send_all(self, transport: Transport) -> None:
        """Send mails over one connection, until None comes in place of one."""
        while (mail := await self._next(transport)) is not None:
            try:
                await self._send(transport, mail)
            except Exception:
                log.exception("mail %d is left to its lease", mail.id)
            self._held.pop(mail.id, None)
            if self._is_more:
                self._woken.set()
        await transport.close()

    async def _next(self, transport: Transport) -> OutboxMessage | None:
        try:
            return await asyncio.wait_for(self._queue.get(), IDLE_S)
        except TimeoutError:
            await transport.close()
        return await self._queue.get()

    async def _send(self, transport: Transport, mail: OutboxMessage) -> None:
        if self._paused_until > time.monotonic():
            await self._give_back([mail])
            return
        try:
            await transport.deliver(self._composer.compose(mail), mail.recipient)
        except SmtpAuthenticationFailed as refusal:
            log.error("%s; no mail is sent for %.0f s: look at INTAKE_SMTP_URL", refusal, LOGIN_PAUSE_S)
            self._last_error, self._paused_until = str(refusal), time.monotonic() + LOGIN_PAUSE_S
            await self._give_back([mail])
        except DeliveryFailed as failure:
            await self._record_failure(mail, failure)
        except Exception as error:
            # one mail that can't be made must not keep the others from being sent
            log.exception("mail %d can't be made", mail.id)
            await self._record_failure(mail, DeliveryFailed(str(error), permanent=False))
        else:
            self._last_error = None
            await self._record("sent", mail, lambda: outbox.record_sent(self._database, mail))

    async def _record_failure(self, mail: OutboxMessage, failure: DeliveryFailed) -> None:
        delay_s = retry_delay_s(
            attempts=mail.attempts,
            age_s=mail.age_s,
            permanent=failure.permanent,
            fraction=random.random(),  # noqa: S311 - it spreads retries, and guards nothing
        )
        fate = "giving up" if delay_s is None else f"next try in {delay_s:.0f} s"
        log.warning("mail %d (%s for lead %d) not sent: %s; %s", mail.id, mail.kind, mail.lead_id, failure.logged, fate)
        await self._record(
            "failed" if delay_s is None else "deferred",
            mail,
            lambda: outbox.record_failure(self._database, mail, reason=str(failure), delay_s=delay_s),
        )

    async def _record(self, outcome: str, mail: OutboxMessage, write: Callable[[], bool]) -> None:
        """Commit a result before its connection takes the next mail, however long the database is away."""
        while True:
            try:
                counted = await asyncio.to_thread(write)
                break
            except DatabaseUnavailable as error:
                log.warning("mail %d is %s, which can't be written down yet: %s", mail.id, outcome, error.reason)
                await asyncio.sleep(1)
        self._metrics.mails.labels(outcome).inc()
        if counted:
            log.info("mail %d (%s for lead %d) %s", mail.id, mail.kind, mail.lead_id, outcome)
        else:
            log.warning("mail %d was claimed by another worker meanwhile, whose result counts, or erased", mail.id)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(outbox.LEASE_S / 4)
            held = list(self._held.values())
            try:
                if held:
                    await asyncio.to_thread(lambda: outbox.extend_lease(self._database, held))  # noqa: B023 - awaited at once
            except DatabaseUnavailable as error:
                log.warning("leases are not renewed: %s", error.reason)
            except Exception:
                log.exception("leases are not renewed")

    async def _give_back(self, mails: Sequence[OutboxMessage]) -> None:
        for mail in mails:
            self._held.pop(mail.id, None)
        with suppress(DatabaseUnavailable):  # their lease ends by itself
            if mails:
                await asyncio.to_thread(lambda: outbox.release(self._database, mails))

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), seconds)
