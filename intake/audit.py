"""Who did what: the append-only trail, each entry written inside the transaction that did it."""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, insert

from intake.database.schema import audit


class Action(StrEnum):
    """What there is an entry for."""

    LOGIN = "login"
    LOGIN_FAILED = "login-failed"
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


@dataclass(frozen=True)
class Origin:
    """Where something that is done comes from: a user, a client's address, a request; None where there is none.

    The command line and the worker have no client and no request.
    """

    user_id: int | None = None
    client: str | None = None
    request_id: str | None = None


def record(
    connection: Connection,
    action: Action,
    origin: Origin,
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
