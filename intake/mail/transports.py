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
    SMTPSenderRefused,
)

from intake.settings import SmtpServer

STEP_TIMEOUT_S = 30.0  # for each reply of the relay
MAX_REASON_CHARACTERS = 500

Deliver = Callable[[EmailMessage, str], Awaitable[None]]
Transport = Callable[[], AbstractAsyncContextManager[Deliver]]


class DeliveryFailed(Exception):
    """A message was not handed over; `permanent` where trying again can't help."""

    def __init__(self, reason: str, *, permanent: bool) -> None:
        # a relay may say anything; what is kept of it is short, printable, and text to any database
        printable = "".join(c if c.isprintable() else " " for c in reason[:MAX_REASON_CHARACTERS])
        super().__init__(printable.encode("utf-8", "replace").decode("utf-8"))
        self.permanent = permanent


class ConnectionLost(DeliveryFailed):
    """The relay went away, or never came."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"no connection to the relay: {reason}", permanent=False)


def maildir_transport(directory: Path) -> Transport:
    """Return a transport whose sessions file each message in a Maildir, made where there is none."""

    @asynccontextmanager
    async def session() -> AsyncIterator[Deliver]:
        box = mailbox.Maildir(directory)

        async def deliver(message: EmailMessage, _recipient: str) -> None:
            try:
                # lines end here as the host's do
                await asyncio.to_thread(box.add, message.as_bytes(policy=message.policy.clone(linesep="\n")))
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
            raise ConnectionLost(str(error)) from error

    return session


async def _send(client: aiosmtplib.SMTP, message: EmailMessage, sender: str, recipient: str) -> None:
    try:
        await client.send_message(message, sender=sender, recipients=[recipient])
    except SMTPRecipientsRefused as refusal:
        [reply] = refusal.recipients
        raise _refused(reply.code, reply.message) from refusal
    except SMTPSenderRefused as refusal:  # our fault, not the recipient's, and one that we can mend
        raise DeliveryFailed(f"{refusal.code} {refusal.message}", permanent=False) from refusal
    except SMTPResponseException as reply:
        raise _refused(reply.code, reply.message) from reply
    except SMTPNotSupported as error:
        raise DeliveryFailed(str(error), permanent=True) from error
    except (SMTPException, OSError) as error:
        raise ConnectionLost(str(error)) from error


def _refused(code: int, message: str) -> DeliveryFailed:
    return DeliveryFailed(f"{code} {message}", permanent=500 <= code < 600)
