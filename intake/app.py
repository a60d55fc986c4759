"""The composition root: every part of the service is built here, once, from one settings object."""

import logging
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from functools import cache
from ipaddress import ip_address
from secrets import token_hex
from typing import Any

from starlette.applications import Starlette
from starlette.types import ASGIApp

from intake import audit
from intake.cvs import store, store_marker
from intake.database import Database
from intake.database.installation import Fingerprints
from intake.errors import DatabaseUnavailable, StorageUnavailable
from intake.http import openapi
from intake.http.access_log import AccessLogMiddleware
from intake.http.body_timeout import BodyTimeoutMiddleware
from intake.http.client_address import Client, ForwardingMonitor
from intake.http.concurrency import ConcurrencyLimitMiddleware
from intake.http.health import HEALTH
from intake.http.health import OPERATIONS as OPERATORS
from intake.http.multipart import MAX_OVERHEAD_BYTES
from intake.http.problems import HANDLERS
from intake.http.routing import HASHING_THREADS, Api, Operation
from intake.http.trusted_hosts import TrustedHostMiddleware
from intake.http.upload_limits import UploadLimiter
from intake.internal_api.routes import OPERATIONS as INTERNAL
from intake.leads.states import check_stored_states
from intake.mail.messages import MessageBuilder
from intake.mail.transports import MaildirTransport, SmtpTransport, Transport
from intake.metrics import Metrics
from intake.public_api.leads import OPERATIONS as PUBLIC
from intake.public_api.middleware import PublicApiMiddleware
from intake.rate_limits.limiter import RateLimiter
from intake.rate_limits.memory_store import MemoryStore
from intake.rate_limits.redis_store import RedisStore
from intake.settings import Settings
from intake.users.login_throttle import KNOWN_FOR_S, LoginThrottle
from intake.users.tokens import TokenSigner
from intake.workers.mail import OTHER_THREADS, MailWorker

# Each door has threads of its own, and a thread uses one connection at the most: so connections are counted apart,
# too, and none is ever waited for. Prospects have few where attorneys share the interpreter with them.
APIS = ((PUBLIC, 4), (INTERNAL, 8), (OPERATORS, 2))
MAX_REMEMBERED_LOGINS = 10_000
SMTP_CONNECTIONS = 4
STORE_ANSWERS_WITHIN_S = 5.0
WORKER_CONNECTIONS = SMTP_CONNECTIONS + OTHER_THREADS

log = logging.getLogger("intake")


class Surface(StrEnum):
    """Which doors a process opens: prospects', those of everybody else, or both."""

    PUBLIC = "public"
    INTERNAL = "internal"
    ALL = "all"

    @property
    def doors(self) -> Sequence[tuple[Sequence[Operation], int]]:
        """The doors' operations, and the threads of each."""
        return {
            Surface.PUBLIC: ((PUBLIC, 8), (HEALTH, 2)),
            Surface.INTERNAL: ((INTERNAL, 8), (OPERATORS, 2)),
            Surface.ALL: APIS,
        }[self]

    @property
    def connections(self) -> int:
        """The database connections that the doors use at the most."""
        return sum(threads + HASHING_THREADS for _, threads in self.doors)


def create_app(settings: Settings, *, with_worker: bool = True, surface: Surface = Surface.ALL) -> ASGIApp:
    """Return the service as an ASGI application, whose worker sends mail while it runs.

    Raises SettingsInvalid, TemplateInvalid, DatabaseMissing, DatabaseUnavailable, StorageUnavailable or StatesInUse.
    """
    if settings.cv_store:
        store.prepare(settings.cv_store)
    metrics = Metrics()
    forwarding = ForwardingMonitor()
    # whoever breaks in at the prospects' door finds no secret that makes a token
    keys = TokenSigner([token_hex(32)]) if surface is Surface.PUBLIC else TokenSigner.from_settings(settings)
    database = Database(settings, connections=surface.connections + WORKER_CONNECTIONS)
    check_stored_states(database, known=settings.states)
    _check_store(database, settings)
    fingerprints = Fingerprints.from_database(database)
    limits_store = RedisStore(settings.limits_store, metrics, fingerprints) if settings.limits_store else None
    worker = create_worker(settings, database, metrics)
    parts = {
        "settings": settings,
        "database": database,
        "keys": keys,
        "guesses": _login_throttle(limits_store, fingerprints, database),
        "metrics": metrics,
        "description": _description(surface),
        "worker": worker if with_worker else None,
        "limiter": RateLimiter(limits_store or MemoryStore()),
        "forwarding": forwarding,
        "tells_reasons": surface is not Surface.PUBLIC,
    }

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, Any]]:
        if with_worker:
            worker.start()
        yield parts
        if with_worker:
            worker.stop()
        database.close()

    largest = settings.max_cv_bytes + MAX_OVERHEAD_BYTES
    doors = [
        Api(operations, threads=threads, places=UploadLimiter(settings, largest_bytes=largest))
        for operations, threads in surface.doors
    ]
    routes = [route for door in doors for route in door.routes()]
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=HANDLERS)
    app.router.redirect_slashes = False  # curl without -L counts a redirect as success
    checked = TrustedHostMiddleware(PublicApiMiddleware(app, settings), settings.allowed_hosts)
    bounded = BodyTimeoutMiddleware(ConcurrencyLimitMiddleware(checked, settings), settings)
    return AccessLogMiddleware(bounded, metrics, settings.trusted_proxies, forwarding)


def _check_store(database: Database, settings: Settings) -> None:
    """Compare the CV store with the database, for a while; if it does not answer, the first submission waits for it."""

    def check(store_url: str) -> None:
        try:
            store_marker.check_once(database, store_url)
        except (DatabaseUnavailable, StorageUnavailable) as error:
            log.warning("the CV store is not compared with the database yet: %s", error)

    if settings.cv_store:
        thread = threading.Thread(target=check, args=[settings.cv_store], name="intake-store-check", daemon=True)
        thread.start()
        thread.join(STORE_ANSWERS_WITHIN_S)


@cache
def _description(surface: Surface) -> openapi.Description:
    return openapi.Description([operation for operations, _ in surface.doors for operation in operations])


def create_worker(settings: Settings, database: Database, metrics: Metrics) -> MailWorker:
    """Return a worker that sends owed mail once it is started. Raises TemplateInvalid."""
    composer = MessageBuilder(sender=settings.mail_from, directory=settings.mail_templates)
    transports: list[Transport] = [MaildirTransport(settings.beside_database(".maildir"))]
    if (server := settings.smtp_server) is not None:
        transports = [SmtpTransport(server, sender=settings.mail_from.address) for _ in range(SMTP_CONNECTIONS)]
    return MailWorker(settings, database, composer, transports, metrics)


def _login_throttle(store: RedisStore | None, fingerprints: Fingerprints, database: Database) -> LoginThrottle:
    """Return a login throttle; one in memory learns from the audit trail who logged in from where."""
    if store is not None:
        return LoginThrottle(fingerprints, counters=store, known=store)
    throttle = LoginThrottle.in_memory(fingerprints)
    logins = audit.recent_logins(database, within_s=KNOWN_FOR_S, most=MAX_REMEMBERED_LOGINS)
    for username, client in reversed(logins):
        throttle.remember(username, Client(ip_address(client)).key)
    return throttle
