"""How a message leaves: over SMTP, or into a Maildir where no relay is configured."""

import asyncio
import mailbox
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib
from aiosmtplib import (
    SMTPAuthenticationError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientsRefused,
    SMTPResponseException,
)

from intake.settings import SmtpServer

STEP_TIMEOUT_S = 30.0  # for each reply of the relay

Deliver = Callable[[EmailMessage, str], Awaitable[None]]
Transport = Callable[[], AbstractAsyncContextManager[Deliver]]


class DeliveryFailed(Exception):
    """A message was not handed over; `permanent` where trying again can't help."""

    def __init__(self, reason: str, *, permanent: bool) -> None:
        super().__init__(reason)
        self.permanent = permanent


def maildir_transport(directory: Path) -> Transport:
    """Return a transport whose sessions file each message in a Maildir, made where there is none."""

    @asynccontextmanager
    async def session() -> AsyncIterator[Deliver]:
        box = mailbox.Maildir(directory)

        async def deliver(message: EmailMessage, _recipient: str) -> None:
            try:
                await asyncio.to_thread(box.add, message)
            except OSError as error:
                raise DeliveryFailed(f"{directory}: {error.strerror}", permanent=False) from error

        yield deliver

    return session


def smtp_transport(server: SmtpServer, *, sender: str) -> Transport:
    """Return a transport whose sessions are each one connection to the relay. Certificates are checked."""

    @asynccontextmanager
    async def session() -> AsyncIterator[Deliver]:
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            use_tls=server.tls == "implicit",
            start_tls={"required": True, "opportunistic": None}.get(server.tls, False),
            timeout=STEP_TIMEOUT_S,
        )
        try:
            async with client:
                yield lambda message, recipient: _send(client, message, sender, recipient)
        except SMTPAuthenticationError as error:
            raise DeliveryFailed(f"the relay refused our login: {error.code}", permanent=False) from error
        except (SMTPException, OSError) as error:
            raise DeliveryFailed(f"no connection to the relay: {error}", permanent=False) from error

    return session


async def _send(client: aiosmtplib.SMTP, message: EmailMessage, sender: str, recipient: str) -> None:
    try:
        await client.send_message(message, sender=sender, recipients=[recipient])
    except SMTPRecipientsRefused as refusal:
        [reply] = refusal.recipients
        raise _refused(reply.code, reply.message) from refusal
    except SMTPResponseException as reply:
        raise _refused(reply.code, reply.message) from reply
    except SMTPNotSupported as error:
        raise DeliveryFailed(str(error), permanent=True) from error
    except (SMTPException, OSError) as error:
        raise DeliveryFailed(str(error), permanent=False) from error


def _refused(code: int, message: str) -> DeliveryFailed:
    return DeliveryFailed(f"{code} {message}", permanent=500 <= code < 600)
