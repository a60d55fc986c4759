"""What is attacked: a firm's service, as one process or as two, with leads that were there before."""

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
from intake.settings import Settings
from stress.durability.deployment import Firm, Site, attorney, opened
from stress.durability.load import client
from stress.load.sizes import ONE, Size
from stress.load.wire import HERE, Address, form, post
from tests.system.programs import INTAKE, Service, peak_bytes
from tests.system.relay import Relay

# other programs of the tests are started with more
DEFAULTS = {"INTAKE_RATE_LIMIT": "", "INTAKE_MAX_UPLOADS": ""}
SETTINGS = Settings()  # whose bounds the service is started with
STREAM_BYTES = 2**16  # what uvicorn reads ahead of the service, and as much again that it writes ahead of a client
SLACK_BYTES = 32 * 2**20  # what Python keeps of memory that was used
MAIL_WITHIN_S = 30.0
STRANGER = "127.0.9.9"  # an address that no attacker has


@dataclass
class Target:
    """A service under attack, and what is to be known of it."""

    firm: Firm
    relay: Relay
    public: Service
    internal: Service
    token: str
    cv_lead: int

    @property
    def processes(self) -> list[int]:
        """The processes' numbers."""
        return sorted({service.process.pid for service in (self.public, self.internal)})

    def submit(self, email: str) -> str:
        """Submit as one does who has nothing to do with the attack, and return the status."""
        with client() as at:
            content = form(email)
            head, _, body = post("/leads/", content).partition(b"\r\n\r\n")
            content_type = head.partition(b"Content-Type: ")[2].partition(b"\r\n")[0].decode()
            headers = {"Content-Type": content_type, "X-Forwarded-For": STRANGER}
            return str(at.post(f"{self.public.url}/leads/", content=body, headers=headers).status_code)

    def sends_mail(self, *, after: int) -> bool:
        """Return whether the relay is sent more mails than it had, within MAIL_WITHIN_S."""
        until = time.monotonic() + MAIL_WITHIN_S
        while len(self.relay.taken) <= after and time.monotonic() < until:
            time.sleep(0.1)
        return len(self.relay.taken) > after

    def kept(self) -> set[str]:
        """Return the addresses of all leads."""
        return set(self.firm.database.read(lambda connection: connection.execute(select(lead.c.email)).scalars().all()))

    def reset_peak(self) -> None:
        """Forget what memory was used up to now."""
        for process in self.processes:
            Path(f"/proc/{process}/clear_refs").write_text("5")

    def peak_bytes(self) -> int:
        """Return the most memory that was resident since then, of all processes together."""
        return sum(map(peak_bytes, self.processes))


def bound_bytes(*, idle: int, connections: int) -> int:
    """Return what memory the settings allow under an attack by so many connections.

    Beside what is used when idle, each upload has its place in memory and a piece that is on its way to the database,
    and each connection a piece of what it is sent, once more as a chunk of HTTP, and what uvicorn reads and writes
    ahead.
    """
    uploads = SETTINGS.max_uploads * (MEMORY_BYTES + PIECE_BYTES)
    each = 2 * (PIECE_BYTES + STREAM_BYTES)
    return idle + uploads + min(connections, SETTINGS.max_connections) * each + SLACK_BYTES


@contextmanager
def target(site: Site, kind: str, surfaces: str, size: Size) -> Iterator[Target]:
    """Start a service on a new database of this kind, with leads in it."""
    relay = Relay()
    settings = {"INTAKE_TRUSTED_PROXIES": HERE, "INTAKE_ALERT_INTERVAL": "60s", **DEFAULTS}
    with opened(site, kind, relay, **settings) as firm:
        cv_lead = firm.database.write(lambda connection: _seed(connection, size))
        public, internal = _serve(firm, surfaces)
        with attorney(internal.url) as at:
            token = at.headers["Authorization"].removeprefix("Bearer ")
        yield Target(firm, relay, public, internal, token, cv_lead)


def address(service: Service) -> Address:
    """Return where a service listens."""
    return Address.of(service.url)


def _serve(firm: Firm, surfaces: str) -> tuple[Service, Service]:
    if surfaces == ONE:
        service = firm.serve()
        return service, service
    return firm.serve(*_surface("public")), firm.serve("--no-worker", *_surface("internal"))


def _surface(name: str) -> list[str]:
    shown = subprocess.run([INTAKE, "serve", "--help"], capture_output=True, text=True, check=True).stdout
    return ["--surface", name] if "--surface" in shown else []


def _seed(connection: Connection, size: Size) -> int:
    """Put leads into the database, and return the id of one with a large CV."""
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
