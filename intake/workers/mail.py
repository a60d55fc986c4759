"""The mail worker: claims queued mails and delivers them, in an event loop in its own thread.

Any number of workers in any number of processes share one outbox. Each mail is claimed with a lease, which its worker
extends until the result is recorded. A connection takes its next mail only after that commit, and no transaction stays
open during an SMTP exchange.
"""

import asyncio
import logging
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from intake.database import Database
from intake.errors import DatabaseUnavailable
from intake.mail import confirmation_caps, outbox
from intake.mail.backoff import retry_delay_s
from intake.mail.messages import MessageBuilder
from intake.mail.outbox import OutboxMessage
from intake.mail.transports import DeliveryFailed, SmtpAuthenticationFailed, Transport
from intake.metrics import Metrics
from intake.settings import Settings

CLAIMED_PER_CONNECTION = 8  # one in delivery and the next ones: claiming many costs as much as claiming one
MIN_POLL_S = 0.05  # between polls while mails arrive one by one, so that one claim takes several
POLL_S = 0.5  # finds mails that another process queued, or that are due again, within a second
DATABASE_PAUSE_S = 5.0  # after the database was unavailable
AUTHENTICATION_PAUSE_S = 60.0  # after the relay refused the login: more attempts would fail the same way
IDLE_TIMEOUT_S = 5.0  # after which an idle connection is closed
RELEASE_WITHIN_S = 2.0  # of the grace period of a shutdown

log = logging.getLogger("intake.workers.mail")


class MailWorker(threading.Thread):
    """Sends queued mails over one connection per transport until it is stopped."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        builder: MessageBuilder,
        transports: Sequence[Transport],
        metrics: Metrics,
    ) -> None:
        super().__init__(name="intake-mail", daemon=True)
        self._database = database
        self._builder = builder
        self._transports = transports
        self._metrics = metrics
        self._settings = settings
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()
        self._queue: asyncio.Queue[OutboxMessage | None] = asyncio.Queue()
        self._claimed: dict[int, OutboxMessage] = {}
        self._leased_at = 0.0  # no lease of the claimed mails began before; by the clock, which includes suspensions
        self._extending = asyncio.Lock()
        self._has_more = True  # the last claim left due mails behind
        self._has_held = False  # it held confirmations: other due mails may be behind them
        self._paused_until = 0.0
        self._stopping = False
        self._last_error: str | None = None

    @property
    def last_error(self) -> str | None:
        """The error that stops all mail, or None."""
        has_ended = not self.is_alive() and not self._stopping
        return "the mail worker has ended; restart the service" if has_ended else self._last_error

    def run(self) -> None:
        """Send mails until the worker is stopped."""
        asyncio.run(self._run())

    def wake(self) -> None:
        """Poll for queued mails now. Thread-safe."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended: the mail stays queued in the database
                self._loop.call_soon_threadsafe(self._woken.set)

    def stop(self) -> None:
        """Claim no more mails, finish deliveries in progress within INTAKE_SHUTDOWN_GRACE, and release the rest."""
        self._stopping = True
        self.wake()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        # a thread for the results of each connection, and one for claims and leases
        self._loop.set_default_executor(ThreadPoolExecutor(len(self._transports) + 1))
        senders = [asyncio.create_task(self._send_all(transport)) for transport in self._transports]
        leases = asyncio.create_task(self._keep_leases())
        while not self._stopping:
            self._woken.clear()
            pause_s = await self._claim()
            if not self._has_more:
                await asyncio.sleep(MIN_POLL_S)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), pause_s)
        await self._finish(senders)
        leases.cancel()

    async def _finish(self, senders: Sequence[asyncio.Task[None]]) -> None:
        unsent = []
        while not self._queue.empty():
            unsent.append(self._queue.get_nowait())
        for _ in senders:
            self._queue.put_nowait(None)
        await self._release([mail for mail in unsent if mail])
        _, unfinished = await asyncio.wait(senders, timeout=self._settings.shutdown_grace_s - RELEASE_WITHIN_S)
        for task in unfinished:
            task.cancel()
        await self._release(list(self._claimed.values()))

    async def _claim(self) -> float:
        """Claim as many mails as fit, and return the seconds to wait before the next poll."""
        if (pause_s := self._paused_until - time.monotonic()) > 0:
            return pause_s
        # after an authentication error, one mail tests whether the relay accepts our credentials again
        most = 1 if self._last_error else CLAIMED_PER_CONNECTION * len(self._transports)
        free = most - len(self._claimed)
        if free * 2 < most:
            self._has_more = True
            return POLL_S
        try:
            # this worker could claim its own mails again after their leases
            await self._extend_leases(older_than_s=outbox.LEASE_S / 2)
            mails = await asyncio.to_thread(lambda: self._claim_due(free))
        except DatabaseUnavailable as error:
            log.warning("no mail is sent, the database is unavailable: %s", error.reason)
            return DATABASE_PAUSE_S
        except Exception:
            log.exception("no mail is sent")
            return DATABASE_PAUSE_S
        self._has_more = len(mails) == free
        for mail in mails:
            self._claimed[mail.id] = mail
            self._queue.put_nowait(mail)
        return 0.0 if self._has_held else POLL_S

    def _claim_due(self, limit: int) -> list[OutboxMessage]:
        self._has_held = False
        return outbox.claim(
            self._database,
            owner=f"{socket.gethostname()}:{os.getpid()}",
            limit=limit,
            alert_interval_s=self._settings.alert_interval_s,
            confirmations_per_hour=self._settings.confirmations_per_hour,
            on_held=self._on_held,
        )

    def _on_held(self, counts: Mapping[str, int]) -> None:
        self._has_held = True
        confirmation_caps.report(self._metrics, "held", counts)

    async def _send_all(self, transport: Transport) -> None:
        """Send mails over one connection until the queue yields None."""
        while (mail := await self._next(transport)) is not None:
            try:
                await self._send(transport, mail)
            except Exception:
                log.exception("mail %d can be claimed again when its lease expires", mail.id)
            if self._is_claimed(mail):
                del self._claimed[mail.id]
            if self._has_more:
                self._woken.set()
        await transport.close()

    async def _next(self, transport: Transport) -> OutboxMessage | None:
        try:
            return await asyncio.wait_for(self._queue.get(), IDLE_TIMEOUT_S)
        except TimeoutError:
            await transport.close()
        return await self._queue.get()

    async def _send(self, transport: Transport, mail: OutboxMessage) -> None:
        if self._paused_until > time.monotonic():
            await self._release([mail])
            return
        await self._secure_leases()
        if not self._is_claimed(mail):
            log.warning("mail %d is not sent: it was erased, or another worker has claimed it", mail.id)
            return
        try:
            await transport.deliver(self._builder.build(mail), mail.recipient)
        except SmtpAuthenticationFailed as error:
            log.error("%s; no mail is sent for %.0f s: check INTAKE_SMTP_URL", error, AUTHENTICATION_PAUSE_S)
            self._last_error, self._paused_until = str(error), time.monotonic() + AUTHENTICATION_PAUSE_S
            await self._release([mail])
        except DeliveryFailed as error:
            await self._record_failure(mail, error)
        except Exception as error:
            # one mail that can't be built must not stop the others
            log.exception("mail %d can't be built", mail.id)
            await self._record_failure(mail, DeliveryFailed(str(error), permanent=False))
        else:
            self._last_error = None
            await self._record("sent", mail, lambda: outbox.record_sent(self._database, mail))

    async def _record_failure(self, mail: OutboxMessage, error: DeliveryFailed) -> None:
        delay_s = retry_delay_s(
            attempts=mail.attempts,
            age_s=mail.age_s,
            permanent=error.permanent,
            fraction=random.random(),  # noqa: S311 - spreads retries, protects nothing
        )
        then = "giving up" if delay_s is None else f"next attempt in {delay_s:.0f} s"
        log.warning("mail %d (%s for lead %d) not sent: %s; %s", mail.id, mail.kind, mail.lead_id, error.logged, then)
        await self._record(
            "failed" if delay_s is None else "deferred",
            mail,
            lambda: outbox.record_failure(self._database, mail, reason=str(error), delay_s=delay_s),
        )

    async def _record(self, outcome: str, mail: OutboxMessage, write: Callable[[], bool]) -> None:
        """Commit a result before the connection takes its next mail, however long the database is unavailable."""
        while True:
            try:
                was_claimed = await asyncio.to_thread(write)
                break
            except DatabaseUnavailable as error:
                log.warning("mail %d is %s, but can't be recorded yet: %s", mail.id, outcome, error.reason)
                await asyncio.sleep(1)
        self._metrics.mails.labels(outcome).inc()
        if was_claimed:
            log.info("mail %d (%s for lead %d) %s", mail.id, mail.kind, mail.lead_id, outcome)
        else:
            log.warning("result of mail %d discarded: it was erased, or another worker has claimed it", mail.id)

    def _is_claimed(self, mail: OutboxMessage) -> bool:
        return self._claimed.get(mail.id) is mail

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(outbox.LEASE_S / 4)
            try:
                await self._extend_leases()
            except DatabaseUnavailable as error:
                log.warning("leases are not extended: %s", error.reason)
            except Exception:
                log.exception("leases are not extended")

    async def _secure_leases(self) -> None:
        """Return once no other worker can have claimed the mails that are still claimed here."""
        while True:
            try:
                return await self._extend_leases(older_than_s=outbox.LEASE_S / 2)
            except DatabaseUnavailable as error:
                log.warning("no mail is sent, the database is unavailable: %s", error.reason)
                await asyncio.sleep(1)

    async def _extend_leases(self, *, older_than_s: float = 0.0) -> None:
        """Extend all leases unless they began within `older_than_s` seconds.

        Mails that were erased, or that another worker has claimed, are not claimed afterwards.
        """
        async with self._extending:
            began, claimed = time.time(), list(self._claimed.values())
            if abs(began - self._leased_at) < older_than_s:  # the clock may have been set back
                return
            extended = await asyncio.to_thread(lambda: outbox.extend_leases(self._database, claimed))
            self._leased_at = began
        for mail in claimed:
            if mail.id not in extended and self._is_claimed(mail):
                del self._claimed[mail.id]

    async def _release(self, mails: Sequence[OutboxMessage]) -> None:
        for mail in mails:
            self._claimed.pop(mail.id, None)
        with suppress(DatabaseUnavailable):  # their leases expire
            if mails:
                await asyncio.to_thread(lambda: outbox.release(self._database, mails))
