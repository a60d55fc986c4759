"""Queued mail sent by `intake worker`, compared with a plain aiosmtplib loop on one connection.

The loop builds and sends mails with the same text and commits nothing. The worker claims its mails and commits each
result before the mail's connection takes the next. All send to one relay in a separate process, which counts them.
`python -m benchmarks.mail_delivery PORT` runs the loop.
"""

import asyncio
import smtplib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import localtime, make_msgid
from functools import partial
from itertools import count
from pathlib import Path

import aiosmtplib
from jinja2 import Environment, PackageLoader

from benchmarks.bulk_change import run
from benchmarks.hanging_relay import database
from benchmarks.measure import Result, Size, in_turn
from intake.database.migrations import migrate
from intake.settings import Settings
from tests.conftest import SECRET
from tests.system.programs import INTAKE, clean_environment

FIRM = "Marple & Wimsey"
DOMAIN = "firm.example"
STARTS_WITHIN_S = 20.0
WARMS_UP_S = 0.2
MAX_PER_S = 4_000  # queued beforehand per second of measurement
# the unchanged program, but with one SMTP connection
WITH_ONE_CONNECTION = "from intake import workers; workers.SMTP_CONNECTIONS = 1; from intake.cli import main; main()"
WORKERS = {
    ("one connection", 0.6): [sys.executable, "-c", WITH_ONE_CONNECTION, "worker"],
    ("four connections", 1.5): [INTAKE, "worker"],
}
LEADS = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
    ' INSERT INTO lead (email, f_name, l_name, "CV_name", state, created_at, state_since, email_key, f_name_key,'
    " l_name_key) SELECT i || '@example.com', 'A', 'B', 'cv', 'PENDING', {now}, {now}, i || '@example.com', 'a', 'b'"
    " FROM n"
)
CONFIRMATIONS = (
    "INSERT INTO outbox_mail (lead_id, kind, recipient, message_id, state, attempts, created_at, next_attempt_at,"
    " queued_since) SELECT id, 'confirmation', email, '<' || id || '.0123456789abcdef@firm.example>', 'queued', 0,"
    " {now}, {now}, {now} FROM lead WHERE id > (SELECT coalesce(max(lead_id), 0) FROM outbox_mail)"
)


def results(size: Size) -> Iterator[Result]:
    """Yield mails per second over one connection and over four, on each database, compared with the loop."""
    seconds = size.seconds * 0.6
    with ExitStack() as stack:
        port = stack.enter_context(sink())
        loop = [sys.executable, "-m", "benchmarks.mail_delivery", str(port)]
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sides: dict[str, Callable[[], float]] = {"loop": partial(rate, port, loop, clean_environment(home), seconds)}
        for kind in ("sqlite", "postgresql"):
            environment = stack.enter_context(prepared(kind, port))
            for (connections, _), command in WORKERS.items():
                sides[f"{connections}, {kind}"] = partial(worker_rate, port, command, environment, seconds)
        figures = in_turn(size, sides)
    for kind in ("sqlite", "postgresql"):
        for connections, goal in WORKERS:
            yield Result(
                work=f"queued mail sent over {connections} ({kind})",
                beside="a plain aiosmtplib loop",
                unit="mails/s",
                ours=figures[f"{connections}, {kind}"],
                theirs=figures["loop"],
                goal=goal,
                is_detail=connections == "one connection" or kind == "sqlite",
            )


@contextmanager
def sink() -> Iterator[int]:
    """Yield the port of a relay in a separate process."""
    with subprocess.Popen([sys.executable, "-m", "benchmarks.smtp_sink"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


@contextmanager
def prepared(kind: str, port: int) -> Iterator[Mapping[str, str]]:
    """Yield the environment of programs on a migrated database."""
    with tempfile.TemporaryDirectory() as directory, database(kind, Path(directory)) as url:
        migrate(Settings(database_url=url))
        yield clean_environment(
            Path(directory),
            INTAKE_DATABASE_URL=url,
            INTAKE_JWT_SECRET=SECRET,
            INTAKE_SMTP_URL=f"smtp://127.0.0.1:{port}?starttls=off",
            INTAKE_MAIL_FROM=f"{FIRM} <intake@{DOMAIN}>",
        )


def worker_rate(port: int, command: Sequence[str], environment: Mapping[str, str], seconds: float) -> float:
    """Queue enough confirmations, each to a different address, and return the mails sent per second."""
    url = environment["INTAKE_DATABASE_URL"]
    run(url, LEADS % ((seconds + 1) * MAX_PER_S), CONFIRMATIONS)
    if not url.startswith("sqlite"):
        run(url, "ANALYZE")  # autovacuum would do this within a minute
    return rate(port, command, environment, seconds)


def rate(port: int, command: Sequence[str], environment: Mapping[str, str], seconds: float) -> float:
    """Run a sender and return the mails per second that the relay accepts, after a warm-up."""
    with smtplib.SMTP("127.0.0.1", port) as relay, Path(environment["HOME"], "log").open("wb") as log:
        before, _ = accepted(relay)
        sender = subprocess.Popen(command, env=environment, stderr=log)
        try:
            until = time.perf_counter() + STARTS_WITHIN_S
            while accepted(relay)[0] == before:
                assert time.perf_counter() < until, f"{command} sends no mail"
                time.sleep(0.01)
            time.sleep(WARMS_UP_S)
            first, began = accepted(relay)
            time.sleep(seconds)
            last, ended = accepted(relay)
        finally:
            sender.terminate()
            sender.wait()
    return (last - first) / (ended - began)


def accepted(relay: smtplib.SMTP) -> tuple[int, float]:
    """Return the number of mails the relay accepted, and the current time in seconds."""
    _, number = relay.noop()
    return int(number), time.perf_counter()


async def send_for_ever(port: int) -> None:
    """Send one confirmation after another over one connection."""
    templates = Environment(loader=PackageLoader("intake.mail"), autoescape=True)
    text, html = (templates.get_template(f"confirmation.{part}.jinja").render(firm=FIRM) for part in ("txt", "html"))
    subject, _, body = text.partition("\n")
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False) as client:
        for number in count():
            message = EmailMessage()
            message["From"] = Address(FIRM, addr_spec=f"intake@{DOMAIN}")
            message["To"] = f"{number}@example.com"
            message["Subject"] = subject.removeprefix("Subject: ")
            message["Date"] = localtime()
            message["Message-ID"] = make_msgid(domain=DOMAIN)
            message["Auto-Submitted"] = "auto-generated"
            message.set_content(body)
            message.add_alternative(html, subtype="html")
            await client.send_message(message)


if __name__ == "__main__":
    asyncio.run(send_for_ever(int(sys.argv[1])))
