"""Mail transports: SMTP, or a Maildir if no relay is configured."""

import asyncio
import mailbox
from pathlib import Path
from typing import Protocol

import aiosmtplib
from aiosmtplib import (
    SMTPAuthenticationError,
    SMTPException,
    SMTPHeloError,
    SMTPNotSupported,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)

from intake.settings.parsers import SmtpServer

STEP_TIMEOUT_S = 20.0  # for each reply of the relay
DELIVERY_TIMEOUT_S = 60.0  # for one mail in total: a relay that sends a byte per second must not block the others
MAILS_PER_CONNECTION = 100
MAX_REASON_CHARACTERS = 500


class DeliveryFailed(Exception):
    """A message was not delivered; `permanent` if retries can't help.

    `logged` is the reason without personal data, for the log: a relay's reply often repeats the address.
    """

    def __init__(self, reason: str, *, permanent: bool, logged: str | None = None) -> None:
        # a relay's reply is untrusted: store it short, printable and valid in any database
        printable = "".join(c if c.isprintable() else " " for c in reason[:MAX_REASON_CHARACTERS])
        super().__init__(printable.encode("utf-8", "replace").decode("utf-8"))
        self.permanent = permanent
        self.logged = logged or str(self)


class ConnectionLost(DeliveryFailed):
    """The connection to the relay failed or was lost."""

    def __init__(self, reason: str, *, logged: str | None = None) -> None:
        super().__init__(f"no connection to the relay: {reason}", permanent=False, logged=logged)


class SmtpAuthenticationFailed(DeliveryFailed):
    """The relay refused the login, perhaps temporarily: no mail can be delivered."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the relay refuses the login: {reason}", permanent=False)


class Transport(Protocol):
    """A connection that delivers one message at a time and stays open between them."""

    async def deliver(self, message: bytes, recipient: str) -> None:
        """Deliver a message with CR LF line ends.

        Raises DeliveryFailed, or a subclass if the connection failed and not the message.
        """

    async def close(self) -> None:
        """Close the connection; the next message reopens it."""


class MaildirTransport:
    """Stores messages in a Maildir, which is created if needed; only the owner can read either."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def deliver(self, message: bytes, recipient: str) -> None:  # noqa: ARG002
        # a Maildir uses the line ends of the host
        content = message.replace(b"\r\n", b"\n")
        try:
            await asyncio.to_thread(lambda: self._add(content))
        except OSError as error:
            raise DeliveryFailed(f"{self._directory}: {error.strerror}", permanent=False) from error

    async def close(self) -> None:
        """Do nothing: there is no connection."""

    def _add(self, message: bytes) -> None:
        maildir = mailbox.Maildir(self._directory)
        for name in ("tmp", "new", "cur"):  # which mailbox creates only with the directory itself
            (self._directory / name).mkdir(mode=0o700, exist_ok=True)
        key = maildir.add(message)
        (self._directory / "new" / key).chmod(0o600)


class SmtpTransport:
    """A connection to a relay, reopened after MAILS_PER_CONNECTION mails and after errors.

    Certificates are verified.
    """

    def __init__(self, server: SmtpServer, *, sender: str) -> None:
        self._server, self._sender = server, sender
        self._client: aiosmtplib.SMTP | None = None
        self._delivered = 0

    async def deliver(self, message: bytes, recipient: str) -> None:
        try:
            async with asyncio.timeout(DELIVERY_TIMEOUT_S):
                client = await self._connected()
                await _send(client, message, self._sender, recipient)
        except TimeoutError as error:
            await self.close(send_quit=False)
            raise ConnectionLost(f"it took longer than {DELIVERY_TIMEOUT_S:.0f} s") from error
        except (ConnectionLost, SmtpAuthenticationFailed):
            await self.close(send_quit=False)
            raise
        self._delivered += 1
        if self._delivered >= MAILS_PER_CONNECTION:
            await self.close()

    async def close(self, *, send_quit: bool = True) -> None:
        client, self._client, self._delivered = self._client, None, 0
        if client is None:
            return
        try:
            if send_quit:
                await client.quit(timeout=STEP_TIMEOUT_S)
        except (SMTPException, OSError):
            pass  # mails that were delivered stay delivered
        finally:
            client.close()

    async def _connected(self) -> aiosmtplib.SMTP:
        if self._client is not None and self._client.is_connected:
            return self._client
        server = self._server
        self._client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            use_tls=server.tls == "implicit",
            start_tls={"required": True, "opportunistic": None}.get(server.tls, False),
            timeout=STEP_TIMEOUT_S,
        )
        try:
            await self._client.connect()
        except SMTPAuthenticationError as error:
            raise SmtpAuthenticationFailed(f"{error.code} {error.message}") from error
        except (SMTPException, OSError) as error:
            raise ConnectionLost(str(error)) from error
        return self._client


async def _send(client: aiosmtplib.SMTP, message: bytes, sender: str, recipient: str) -> None:
    options = [] if message.isascii() else ["SMTPUTF8", "BODY=8BITMIME"]
    try:
        await client.sendmail(sender, [recipient], message, mail_options=options)
    except SMTPRecipientsRefused as refusal:
        [reply] = refusal.recipients
        raise _refused(reply.code, reply.message, permanent=reply.code >= 500) from refusal
    except (SMTPSenderRefused, SMTPHeloError) as refusal:  # not about this mail: our configuration, or the relay
        raise _refused(refusal.code, refusal.message, permanent=False) from refusal
    except SMTPResponseException as reply:
        raise _refused(reply.code, reply.message, permanent=reply.code >= 500) from reply
    except SMTPNotSupported as error:  # final unless the relay refused EHLO, so that its extensions are unknown
        raise DeliveryFailed(str(error), permanent=bool(client.esmtp_extensions)) from error
    except (SMTPException, OSError) as error:
        raise ConnectionLost(str(error)) from error


def _refused(code: int, message: str, *, permanent: bool) -> DeliveryFailed:
    if code == 421:  # RFC 5321, section 3.8: the relay is about to close the connection
        return ConnectionLost(f"{code} {message}", logged=f"the relay replied {code} and closes the connection")
    return DeliveryFailed(f"{code} {message}", permanent=permanent, logged=f"the relay replied {code}")
