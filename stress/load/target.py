"""The service under attack, as one process or as two, on a database with seeded leads."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, insert, select

from intake.cvs.spool import MEMORY_BYTES
from intake.database.cv_blobs import PIECE_BYTES
from intake.database.schema import cv, cv_content, lead
from intake.http.streaming import MAX_AHEAD
from intake.settings import Settings
from stress.durability.deployment import Deployment, Site, attorney, deployed
from stress.durability.load import client
from stress.load.sizes import LOWEST_PRIORITY, ONE, Size
from stress.load.wire import HERE, Address, form, post
from tests.system.programs import INTAKE, Service, peak_bytes
from tests.system.relay import Relay

# the tests disable these limits for other programs
DEFAULTS = {"INTAKE_RATE_LIMIT": "", "INTAKE_MAX_UPLOADS": ""}
SETTINGS = Settings()  # the service runs with these defaults
STREAM_BYTES = 2**16  # uvicorn buffers this much of a request and of a response
PARSING_THREADS = 8  # of a process for the public API
SLACK_BYTES = 32 * 2**20  # freed memory that Python does not return
MAIL_WITHIN_S = 30.0
OTHER_CLIENT = "127.0.9.9"  # not used by any attacker


@dataclass
class Target:
    """A service under attack, and the data that attackers and checks need."""

    deployment: Deployment
    relay: Relay
    public: Service
    internal: Service
    token: str
    cv_lead: int

    @property
    def processes(self) -> list[int]:
        """The process ids."""
        return sorted({service.process.pid for service in (self.public, self.internal)})

    def submit(self, email: str) -> str:
        """Submit a lead from an address outside the attack and return the status."""
        with client() as at:
            content = form(email)
            head, _, body = post("/leads/", content).partition(b"\r\n\r\n")
            content_type = head.partition(b"Content-Type: ")[2].partition(b"\r\n")[0].decode()
            headers = {"Content-Type": content_type, "X-Forwarded-For": OTHER_CLIENT}
            return str(at.post(f"{self.public.url}/leads/", content=body, headers=headers).status_code)

    def sends_mail(self, *, after: int) -> bool:
        """Return whether the relay receives more than `after` mails within MAIL_WITHIN_S."""
        until = time.monotonic() + MAIL_WITHIN_S
        while len(self.relay.taken) <= after and time.monotonic() < until:
            time.sleep(0.1)
        return len(self.relay.taken) > after

    def saved_emails(self) -> set[str]:
        """Return the email addresses of all leads."""
        return set(
            self.deployment.database.read(lambda connection: connection.execute(select(lead.c.email)).scalars().all())
        )

    def reset_peak(self) -> None:
        """Reset the peak memory of the processes."""
        for process in self.processes:
            Path(f"/proc/{process}/clear_refs").write_text("5")

    def peak_bytes(self) -> int:
        """Return the peak resident memory since the last reset, summed over the processes."""
        return sum(map(peak_bytes, self.processes))


def bound_bytes(*, idle: int, connections: int) -> int:
    """Return the memory that the settings allow under an attack with this number of connections.

    To the idle memory, each upload adds its buffer and one piece on its way to the database. Each connection adds one
    piece of its response, a copy of it as an HTTP chunk, and uvicorn's read and write buffers. A thread that parses a
    form has two more copies of it, and a limited number of responses have one more piece.
    """
    uploads = SETTINGS.max_uploads * (MEMORY_BYTES + PIECE_BYTES)
    each = 2 * (PIECE_BYTES + STREAM_BYTES)
    others = PARSING_THREADS * 2 * MEMORY_BYTES + MAX_AHEAD * PIECE_BYTES + SLACK_BYTES
    return idle + uploads + min(connections, SETTINGS.max_connections) * each + others


@contextmanager
def target(site: Site, kind: str, surfaces: str, size: Size) -> Iterator[Target]:
    """Start a service on a new database of this kind with seeded leads."""
    relay = Relay(niceness=LOWEST_PRIORITY)
    settings = {"INTAKE_TRUSTED_PROXIES": HERE, "INTAKE_ALERT_INTERVAL": "60s", **DEFAULTS}
    with deployed(site, kind, relay, **settings) as deployment:
        cv_lead = deployment.database.write(lambda connection: _seed(connection, size))
        public, internal = _serve(deployment, surfaces)
        with attorney(internal.url) as at:
            token = at.headers["Authorization"].removeprefix("Bearer ")
        yield Target(deployment, relay, public, internal, token, cv_lead)


def address(service: Service) -> Address:
    """Return the address on which a service listens."""
    return Address.of(service.url)


def _serve(deployment: Deployment, surfaces: str) -> tuple[Service, Service]:
    if surfaces == ONE:
        service = deployment.serve()
        return service, service
    return deployment.serve(*_surface("public")), deployment.serve("--no-worker", *_surface("internal"))


def _surface(name: str) -> list[str]:
    shown = subprocess.run([INTAKE, "serve", "--help"], capture_output=True, text=True, check=True).stdout
    return ["--surface", name] if "--surface" in shown else []


def _seed(connection: Connection, size: Size) -> int:
    """Insert leads and return the id of one with a large CV."""
    rows = [_row(number) for number in range(size.seeded_leads)]
    connection.execute(insert(lead), rows)
    ids = connection.execute(select(lead.c.id).order_by(lead.c.id)).scalars().all()
    content = b"x" * size.seeded_cv_bytes
    sizes = dict.fromkeys(ids, 1) | {ids[0]: len(content)}
    facts = {"sha256": "0" * 64, "detected_type": "text/plain"}
    connection.execute(insert(cv), [{"lead_id": one, "size": n, **facts} for one, n in sizes.items()])
    connection.execute(insert(cv_content), [{"lead_id": one, "content": content[:n]} for one, n in sizes.items()])
    return int(ids[0])


def _row(number: int) -> dict[str, str]:
    email = f"seeded{number}@example.com"
    keys = {"email_key": email, "f_name_key": "grace", "l_name_key": "hopper"}
    shown = {"email": email, "f_name": "Grace", "l_name": "Hopper", "CV_name": "cv.txt", "state": "PENDING"}
    return {**shown, **keys}
