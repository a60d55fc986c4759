"""Composition root: builds the service from its settings."""

import logging
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from ipaddress import ip_address
from typing import Any

from starlette.routing import Route, Router
from starlette.types import ASGIApp

from intake import audit
from intake.cvs import store, store_marker
from intake.database import Database
from intake.database.installation import Fingerprints
from intake.database.migrations import needed_revision
from intake.errors import DatabaseUnavailable, StorageUnavailable
from intake.form.answers import AnswerReader
from intake.form.definition import FormDefinition, load_definition
from intake.form.timestamps import FormKey
from intake.http import openapi
from intake.http.access_log import AccessLog
from intake.http.client_address import Client, ForwardingMonitor
from intake.http.gateway import Gateway
from intake.http.health import HEALTH, PUBLIC_DESCRIPTION
from intake.http.health import OPERATIONS as OPERATORS
from intake.http.multipart import MAX_OVERHEAD_BYTES
from intake.http.routing import HASHING_THREADS, Operation, RouteTable, api_routes
from intake.http.thread_pool import BoundedThreadPool
from intake.http.unknown_fields import UnknownFields
from intake.http.upload_limits import UploadLimiter
from intake.internal_api.examples import EXAMPLES
from intake.internal_api.routes import OPERATIONS as INTERNAL
from intake.leads.states import check_stored_states
from intake.metrics import Metrics
from intake.public_api.form import OPERATIONS as FORM
from intake.public_api.form_pages import FormPages
from intake.public_api.leads import OPERATIONS as SUBMISSION
from intake.public_api.leads import describe_form
from intake.public_api.middleware import public_middleware
from intake.rate_limits.limiter import RateLimiter
from intake.rate_limits.memory_store import MemoryStore
from intake.rate_limits.redis_store import RedisStore
from intake.settings import Settings
from intake.users.authentication import AllowedLogins
from intake.users.login_throttle import KNOWN_FOR_S, LoginThrottle
from intake.users.tokens import TokenSigner
from intake.workers import WORKER_CONNECTIONS, Workers

PUBLIC = (*SUBMISSION, *FORM, *PUBLIC_DESCRIPTION)
MAX_REMEMBERED_LOGINS = 10_000
STORE_TIMEOUT_S = 5.0

log = logging.getLogger("intake")


class Surface(StrEnum):
    """The APIs that a process serves: the public one, the internal and operators' one, or all."""

    PUBLIC = "public"
    INTERNAL = "internal"
    ALL = "all"

    def apis(self, settings: Settings) -> Sequence[tuple[Sequence[Operation], int]]:
        """Return the operations of each API, and its threads.

        A thread uses at most one connection, so no thread ever waits for one. In the process of the internal API the
        public one has fewer threads, except on SQLite, where most of them wait for a commit that they share.
        """
        return {
            Surface.PUBLIC: ((PUBLIC, 8), (HEALTH, 2)),
            Surface.INTERNAL: ((INTERNAL, 8), (OPERATORS, 2)),
            Surface.ALL: ((PUBLIC, 8 if settings.sqlite_file else 4), (INTERNAL, 8), (OPERATORS, 2)),
        }[self]

    def connections(self, settings: Settings) -> int:
        """Return the maximum number of database connections in use by the APIs."""
        return sum(threads + HASHING_THREADS for _, threads in self.apis(settings))


def create_app(
    settings: Settings, *, with_worker: bool = True, surface: Surface = Surface.ALL, metrics: Metrics | None = None
) -> ASGIApp:
    """Return the service as an ASGI application, which runs a worker if asked to.

    Raises SettingsInvalid, TemplateInvalid, DatabaseMissing, DatabaseUnavailable, StorageUnavailable or
    UnknownStatesInUse.
    """
    if settings.cv_store:
        store.prepare(settings.cv_store)
    connections = surface.connections(settings) + (WORKER_CONNECTIONS if with_worker else 0)
    database = Database(settings, connections=connections)
    try:
        return _create_gateway(settings, database, metrics or Metrics(), surface, with_worker=with_worker)
    except BaseException:
        database.close()
        raise


def _create_gateway(
    settings: Settings, database: Database, metrics: Metrics, surface: Surface, *, with_worker: bool
) -> Gateway:
    forwarding, access_log = ForwardingMonitor(), AccessLog()
    metrics.watch_database(database, schema=needed_revision())
    check_stored_states(database, known=settings.states)
    _check_store(database, settings)
    form_state = _form_state(settings, database)
    pages = FormPages(settings, form_state["form"], honeypot=form_state["form_key"].honeypot)
    worker = Workers(settings, database, metrics) if with_worker else None
    state = {
        "settings": settings,
        "database": database,
        "metrics": metrics,
        "worker": worker,
        "forwarding": forwarding,
        **form_state,
        "form_pages": pages,
        "hosted_form": None,
        "unknown_fields": UnknownFields(metrics.unknown_fields),
        "exposes_errors": surface is not Surface.PUBLIC,
        "is_draining": False,
        **_state_of(surface, settings, database, metrics, form_state["form"]),
    }

    @asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[dict[str, Any]]:
        access_log.start()
        if worker:
            worker.start()
        yield state
        if worker:
            worker.stop()
            worker.join()
        database.close()
        access_log.close()

    gateway = Gateway(
        RouteTable(_routes(surface, settings, metrics)),
        settings,
        metrics=metrics,
        log=access_log,
        forwarding=forwarding,
        lifespan=Router(lifespan=lifespan),
    )
    gateway.middleware = public_middleware(gateway.respond, settings, pages)
    return gateway


def _state_of(
    surface: Surface, settings: Settings, database: Database, metrics: Metrics, form: FormDefinition
) -> dict[str, Any]:
    """Return the rate limiter and the descriptions, and except for the public API alone, the objects for logins."""
    fingerprints = Fingerprints.from_database(database)
    redis = RedisStore(settings.limits_store, metrics, fingerprints) if settings.limits_store else None
    state: dict[str, Any] = {"limiter": RateLimiter(redis or MemoryStore())}
    if surface is not Surface.PUBLIC:  # a process for the public API alone has no secret that signs tokens
        state["token_signer"] = TokenSigner.from_settings(settings)
        state["allowed_logins"] = AllowedLogins(database)
        state["login_throttle"] = _login_throttle(redis, fingerprints, database)
        state["description"] = _description(surface, settings, form)
    if surface is not Surface.INTERNAL:
        state["public_description"] = _description(None, settings, form)
    return state


def _form_state(settings: Settings, database: Database) -> dict[str, Any]:
    """Return the form's definition, the key that signs its timestamps, and the reader of its answers."""
    form, key = load_definition(settings.form), FormKey.from_database(database)
    return {"form": form, "form_key": key, "answers": AnswerReader(form, key, form_only=settings.form_only)}


def _routes(surface: Surface, settings: Settings, metrics: Metrics) -> list[Route]:
    largest = settings.max_cv_bytes + MAX_OVERHEAD_BYTES
    routes = []
    for operations, threads in surface.apis(settings):
        pool = BoundedThreadPool(threads)
        name = "public" if operations is PUBLIC else "internal" if operations is INTERNAL else "operators"
        metrics.watch_threads(name, pool)
        routes += api_routes(operations, pool=pool, uploads=UploadLimiter(settings, largest_bytes=largest))
    return routes


def _check_store(database: Database, settings: Settings) -> None:
    """Compare the CV store with the database, or leave that to the first submission if the store is slow."""

    def check(store_url: str) -> None:
        try:
            store_marker.ensure_present(database, store_url)
        except (DatabaseUnavailable, StorageUnavailable) as error:
            log.warning("the CV store could not be compared with the database yet: %s", error)

    if settings.cv_store:
        thread = threading.Thread(target=check, args=[settings.cv_store], name="intake-store-check", daemon=True)
        thread.start()
        thread.join(STORE_TIMEOUT_S)


def _description(surface: Surface | None, settings: Settings, form: FormDefinition) -> openapi.Description:
    """Return the description of the routes of a surface; without one, of those that a proxy makes public."""
    cv = openapi.cv_schema(settings.max_cv_bytes, settings.cv_extensions)
    if surface is None:
        public = [*PUBLIC, *(operation for operation in HEALTH if operation.path == "/healthz")]
        public = [describe_form(operation, form) for operation in public]
        return openapi.Description(public, "/openapi.json", about="The public API.", examples={}, cv=cv)
    operations = [describe_form(operation, form) for group, _ in surface.apis(settings) for operation in group]
    about = "All routes of this process, for attorneys and operators."
    return openapi.Description(operations, "/internal/openapi.json", about=about, examples=EXAMPLES, cv=cv)


def _login_throttle(store: RedisStore | None, fingerprints: Fingerprints, database: Database) -> LoginThrottle:
    """Return a login throttle; one in memory learns from the audit trail who logged in from where."""
    if store is not None:
        return LoginThrottle(fingerprints, counters=store, known=store)
    throttle = LoginThrottle.in_memory(fingerprints)
    logins = audit.recent_logins(database, within_s=KNOWN_FOR_S, most=MAX_REMEMBERED_LOGINS)
    for username, client in reversed(logins):
        throttle.remember(username, Client(ip_address(client)).key)
    return throttle
