"""Append-only audit trail; each entry is written in the transaction of the action."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, Field, WithJsonSchema
from sqlalchemy import ColumnElement, CompoundSelect, Connection, func, insert, select, union

from intake.database import AdvisoryLock, Database, advisory_lock, insertion
from intake.database.clock import Now, UtcHour
from intake.database.ids import page_and_next, within
from intake.database.schema import audit, user_account
from intake.errors import UserNotFound
from intake.request_models import MAX_ID, FilterText, Number, PageQuery, Timestamp


class Action(StrEnum):
    """Recorded actions."""

    LOGIN = "login"
    LOGIN_FAILED = "login-failed"
    LOGIN_ALLOWED = "login-allowed"
    REGISTRATION = "registration"
    ROLE_CHANGE = "role-change"
    DISABLED = "disabled"
    ENABLED = "enabled"
    PASSWORD = "password"  # noqa: S105 - the name of an action
    DOWNLOAD = "download"
    QUARANTINE_DOWNLOAD = "quarantine-download"
    ERASURE = "erasure"
    EXPORT = "export"
    RETENTION = "retention"
    LEAD_CREATION = "lead-creation"
    LIST = "list"
    SEARCH = "search"
    MAIL_LIST = "mail-list"
    MAIL_RETRY = "mail-retry"
    ERASURE_PREVIEW = "erasure-preview"
    CV_TEXT = "cv-text"
    BACKUP = "backup"
    RESTORE = "restore"
    SUSPECT_CLEARED = "suspect-cleared"


HOUR_S = 3600.0


@dataclass(frozen=True)
class Actor:
    """User, client address and request behind an action; None where absent.

    The command line and the worker have no client and no request.
    """

    user_id: int | None = None
    client: str | None = None
    request_id: str | None = None


LOCAL_ACTOR = Actor()  # the service itself, or a command on the server


def record(
    connection: Connection,
    action: Action,
    actor: Actor,
    *,
    lead_id: int | None = None,
    subject_id: int | None = None,
    detail: str | None = None,
) -> None:
    """Insert an entry for an action on a lead or on the user `subject_id`; `detail` must not contain personal data."""
    entry = {"action": action, "lead_id": lead_id, "subject_id": subject_id, "detail": detail, **vars(actor)}
    connection.execute(insert(audit).values(entry))


def record_alone(
    database: Database, action: Action, actor: Actor, *, lead_id: int | None = None, detail: str | None = None
) -> None:
    """Record a read in its own transaction, before the data is sent.

    Raises DatabaseUnavailable: the data must not be sent then.
    """
    database.write(lambda connection: record(connection, action, actor, lead_id=lead_id, detail=detail))


def is_recorded(database: Database, action: Action, *, detail: str) -> bool:
    """Return whether there is an entry with this detail. Raises DatabaseUnavailable."""
    found = select(audit.c.id).where(audit.c.action == action, audit.c.detail == detail).limit(1)
    return database.read(lambda connection: connection.scalar(found)) is not None


def record_series(database: Database, action: Action, actor: Actor, *, lead_id: int, detail: str | None = None) -> None:
    """Record one of a series of requests, unless the user has the same entry for the lead within the last hour.

    Raises DatabaseUnavailable, like `record_alone`.
    """
    same = audit.c.lead_id == lead_id, audit.c.user_id == actor.user_id, audit.c.action == action
    recent = select(audit.c.id).where(*same, audit.c.at > Now(plus_s=-HOUR_S)).limit(1)

    def work(connection: Connection) -> None:
        # only one of two concurrent requests records, even on two replicas
        advisory_lock(connection, AdvisoryLock.SERIES)
        if connection.scalar(recent) is None:
            record(connection, action, actor, lead_id=lead_id, detail=detail)

    if database.read(lambda connection: connection.scalar(recent)) is None:  # usually there is one: no write
        database.write(work)


def record_hourly(connection: Connection, action: Action, actor: Actor, *, lead_id: int) -> None:
    """Record an action on a lead, once per user, lead and hour of UTC.

    For several leads, call it in the order of their ids: a concurrent transaction may wait for the same entry.
    """
    entry = {"action": action, "lead_id": lead_id, "hour": UtcHour(), **vars(actor)}
    connection.execute(insertion(connection.dialect.name, audit, None).values(entry).inline())


# inlined: the schema of a query parameter can't contain references
ActionName = Annotated[Action, WithJsonSchema({"type": "string", "enum": [action.value for action in Action]})]


class AuditQuery(PageQuery):
    """Filters and page of the audit trail."""

    user: FilterText | None = Field(default=None, description="Actor or subject.")
    action: list[ActionName] = Field(default=[], description="Action; may repeat.")
    lead: Annotated[Number, Field(ge=1, le=MAX_ID)] | None = Field(
        default=None, description="Only entries of this lead."
    )
    since: Timestamp | None = Field(default=None, description="Earliest time (RFC 3339), inclusive.")
    until: Timestamp | None = Field(default=None, description="Latest time, exclusive.")


class AuditEntryModel(BaseModel):
    """An entry of the audit trail."""

    id: int
    at: datetime
    action: str
    user: str | None = Field(description="Actor; null if nobody was logged in, or for the service itself.")
    subject: str | None = Field(description="User whom the action changed.")
    lead: int | None
    detail: str | None
    client: str | None = Field(description="Client address; null for commands on the server.")
    request_id: str | None


def list_entries(database: Database, query: AuditQuery) -> list[AuditEntryModel]:
    """Return a page of entries and the first of the next page. Raises UserNotFound or DatabaseUnavailable."""
    return database.read(lambda connection: _find(connection, query))


def recent_logins(database: Database, *, within_s: float, most: int) -> list[tuple[str, str]]:
    """Return (username key, client address) pairs of recent logins, latest first.

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


def _find(connection: Connection, query: AuditQuery) -> list[AuditEntryModel]:
    user, subject = user_account.alias(), user_account.alias()
    statement = (
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
    conditions = list(_conditions(query))
    if query.user is not None:
        user_id = _user_id(connection, query.user)
        statement = statement.where(audit.c.id.in_(_of_user(user_id, conditions, query)))
    rows = connection.execute(page_and_next(statement.where(*conditions), audit.c.id, query)).mappings()
    return [AuditEntryModel(**row) for row in rows]


def _conditions(query: AuditQuery) -> Iterator[ColumnElement[bool]]:
    if query.action:
        yield audit.c.action.in_(query.action)
    if query.lead is not None:
        yield audit.c.lead_id == query.lead
    yield from within(
        audit.c.id,
        audit.c.at,
        since=query.since,
        until=query.until,
        after=query.after,
        newest_first=query.newest_first,
    )


def _of_user(user_id: int, conditions: Sequence[ColumnElement[bool]], query: AuditQuery) -> CompoundSelect[Any]:
    """Return the ids of one page by actor and one page by subject, so that each query uses its own index."""
    pages = (
        page_and_next(select(audit.c.id).where(column == user_id, *conditions), audit.c.id, query).subquery()
        for column in (audit.c.user_id, audit.c.subject_id)
    )
    return union(*(select(page.c.id) for page in pages))


def _user_id(connection: Connection, username: str) -> int:
    query = select(user_account.c.id).where(user_account.c.username_key == username.casefold())
    if (user_id := connection.execute(query).scalar()) is None:
        raise UserNotFound(f"there is no user {username!r}")
    return int(user_id)
