"""Who did what: the append-only trail, each entry written inside the transaction that did it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, TypedDict, cast

from sqlalchemy import ColumnElement, CompoundSelect, Connection, Select, func, insert, select, union

from intake.database import Database, advisory_lock
from intake.database.clock import Now
from intake.database.ids import page_by_id, within
from intake.database.schema import audit, user_account
from intake.errors import UserNotFound


class Action(StrEnum):
    """What there is an entry for."""

    LOGIN = "login"
    LOGIN_FAILED = "login-failed"
    LOGIN_ALLOWED = "login-allowed"
    REGISTRATION = "registration"
    ROLE_CHANGE = "role-change"
    DISABLED = "disabled"
    ENABLED = "enabled"
    PASSWORD = "password"  # noqa: S105 - that it was changed
    DOWNLOAD = "download"
    QUARANTINE_DOWNLOAD = "quarantine-download"
    ERASURE = "erasure"
    EXPORT = "export"
    RETENTION = "retention"
    LEAD_CREATION = "lead-creation"
    LIST = "list"
    MAIL_LIST = "mail-list"
    MAIL_RETRY = "mail-retry"
    ERASURE_PREVIEW = "erasure-preview"


HOUR_S = 3600.0
SERIES_LOCK = 0x1EADC73


@dataclass(frozen=True)
class Actor:
    """Where something that is done comes from: a user, a client's address, a request; None where there is none.

    The command line and the worker have no client and no request.
    """

    user_id: int | None = None
    client: str | None = None
    request_id: str | None = None


LOCAL_ACTOR = Actor()  # the machine itself, where no request asks


def record(
    connection: Connection,
    action: Action,
    origin: Actor,
    *,
    lead_id: int | None = None,
    subject_id: int | None = None,
    detail: str | None = None,
) -> None:
    """Write down that it was done: to a lead, to the user `subject_id`, and how, in words that name no person."""
    entry = {"user_id": origin.user_id, "client": origin.client, "request_id": origin.request_id}
    connection.execute(
        insert(audit).values(action=action, lead_id=lead_id, subject_id=subject_id, detail=detail, **entry)
    )


def record_alone(
    database: Database, action: Action, origin: Actor, *, lead_id: int | None = None, detail: str | None = None
) -> None:
    """Record what was read, in a transaction of its own. Raises DatabaseUnavailable: then it must not be given out."""
    database.write(lambda connection: record(connection, action, origin, lead_id=lead_id, detail=detail))


def record_series(
    database: Database, action: Action, origin: Actor, *, lead_id: int, detail: str | None = None
) -> None:
    """Record one of a series of requests, unless the user has such an entry for the lead from the last hour.

    Raises DatabaseUnavailable, as `record_alone` does.
    """
    same = audit.c.lead_id == lead_id, audit.c.user_id == origin.user_id, audit.c.action == action
    recent = select(audit.c.id).where(*same, audit.c.at > Now(plus_s=-HOUR_S)).limit(1)

    def work(connection: Connection) -> None:
        advisory_lock(connection, SERIES_LOCK)  # of two requests at once, at two replicas too, one is recorded
        if connection.scalar(recent) is None:
            record(connection, action, origin, lead_id=lead_id, detail=detail)

    if database.read(lambda connection: connection.scalar(recent)) is None:  # most often there is one: no write
        database.write(work)


class AuditEntry(TypedDict):
    """What was done, by which user and to whom or which lead; None where there is none."""

    id: int
    at: datetime
    action: str
    user: str | None
    subject: str | None
    lead: int | None
    detail: str | None
    client: str | None
    request_id: str | None


@dataclass(frozen=True, kw_only=True)
class AuditFilter:
    """Which entries, by id; what is None or empty does not narrow. `after` is the id from which to go on.

    `username` is of who did it, or of whom it was done to; `since` is included, `until` is not.
    """

    username: str | None = None
    actions: Sequence[Action] = ()
    lead_id: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: int | None = None
    newest_first: bool = False


def list_entries(database: Database, wanted: AuditFilter, *, limit: int) -> list[AuditEntry]:
    """Return up to `limit` entries that match. Raises UserNotFound or DatabaseUnavailable."""
    return database.read(lambda connection: _find(connection, wanted, limit))


def recent_logins(database: Database, *, within_s: float, most: int) -> list[tuple[str, str]]:
    """Return from which addresses users logged in lately: names as they are compared, and addresses, the last first.

    Raises DatabaseUnavailable.
    """
    query = (
        select(user_account.c.username_key, audit.c.client)
        .join(user_account, user_account.c.id == audit.c.user_id)
        .where(audit.c.action == Action.LOGIN, audit.c.client.is_not(None), audit.c.at > Now(plus_s=-within_s))
        .group_by(user_account.c.username_key, audit.c.client)
        .order_by(func.max(audit.c.id).desc())
        .limit(most)
    )
    rows = database.read(lambda connection: connection.execute(query).all())
    return [(username_key, client) for username_key, client in rows]


def _find(connection: Connection, wanted: AuditFilter, limit: int) -> list[AuditEntry]:
    user, subject = user_account.alias(), user_account.alias()
    query = (
        select(
            audit.c.id,
            audit.c.at,
            audit.c.action,
            user.c.username.label("user"),
            subject.c.username.label("subject"),
            audit.c.lead_id.label("lead"),
            audit.c.detail,
            audit.c.client,
            audit.c.request_id,
        )
        .join_from(audit, user, user.c.id == audit.c.user_id, isouter=True)
        .join(subject, subject.c.id == audit.c.subject_id, isouter=True)
    )
    conditions = list(_conditions(wanted))
    if wanted.username is not None:
        number = _user_id(connection, wanted.username)
        query = query.where(audit.c.id.in_(_of_user(number, conditions, wanted, limit)))
    query = _page(query.where(*conditions), wanted, limit)
    rows = connection.execute(query).mappings()
    return [cast("AuditEntry", {str(name): value for name, value in row.items()}) for row in rows]


def _conditions(wanted: AuditFilter) -> Iterator[ColumnElement[bool]]:
    if wanted.actions:
        yield audit.c.action.in_(wanted.actions)
    if wanted.lead_id is not None:
        yield audit.c.lead_id == wanted.lead_id
    yield from within(
        audit.c.id,
        audit.c.at,
        since=wanted.since,
        until=wanted.until,
        after=wanted.after,
        newest_first=wanted.newest_first,
    )


def _of_user(
    number: int, conditions: Sequence[ColumnElement[bool]], wanted: AuditFilter, limit: int
) -> CompoundSelect[Any]:
    """Return the ids of a page of what the user did and a page of what was done to the user, each by its own index."""
    parts = (
        _page(select(audit.c.id).where(column == number, *conditions), wanted, limit).subquery()
        for column in (audit.c.user_id, audit.c.subject_id)
    )
    return union(*(select(part.c.id) for part in parts))


def _page(query: Select[Any], wanted: AuditFilter, limit: int) -> Select[Any]:
    return page_by_id(query, audit.c.id, after=wanted.after, newest_first=wanted.newest_first, limit=limit)


def _user_id(connection: Connection, username: str) -> int:
    query = select(user_account.c.id).where(user_account.c.username_key == username.casefold())
    if (number := connection.execute(query).scalar()) is None:
        raise UserNotFound(f"there is no user {username!r}")
    return int(number)
