"""What the internal door takes and gives, as models: the routes check by them, and the description shows them."""

import re
from datetime import UTC, date, datetime
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
)

from intake.users.accounts import ROLES, Role
from intake.users.tokens import TOKEN_TTL_S

MAX_ID = 2**63 - 1


def _between_1970_and_9999(moment: datetime) -> datetime:
    if not datetime(1970, 1, 1, tzinfo=UTC) <= moment < datetime(9999, 1, 1, tzinfo=UTC):
        raise ValueError("expected a moment from 1970 to 9998")  # further out, another time zone has no name for it
    return moment


def _rfc_3339(text: object) -> object:
    if isinstance(text, str) and not re.match(r"\d{4}-\d\d-\d\d[Tt ]", text, re.ASCII):
        raise ValueError("expected RFC 3339, e.g. 2026-11-01T09:00:00+01:00")  # a bare number would be Unix seconds
    return text


def _digits(text: object) -> object:
    if isinstance(text, str) and not re.fullmatch(r"-?[0-9]{1,19}", text):
        raise ValueError("expected a whole number")  # the library also reads "1.0", "1_0" and " 1"
    return text


# NUL is in no stored text, and PostgreSQL takes none
FilterText = Annotated[str, StringConstraints(max_length=320, pattern=r"^[^\x00]*$")]
Number = Annotated[int, BeforeValidator(_digits)]  # of a query
Timestamp = Annotated[
    AwareDatetime,
    BeforeValidator(_rfc_3339),
    AfterValidator(_between_1970_and_9999),
]


class RequestModel(BaseModel):
    """What a request holds."""

    # a name that is not known is a slip (`form` for `from`), and passing it over would do what was not meant
    model_config = ConfigDict(extra="forbid")


class LeadQuery(RequestModel):
    """The list's filters."""

    email: FilterText | None = Field(None, description="The whole address; * stands for anything, \\* for a star.")
    f_name: FilterText | None = Field(None, description="The whole first name, likewise.")
    l_name: FilterText | None = Field(None, description="The whole last name, likewise.")
    state: list[str] = Field([], description="A state; may repeat.")
    q: FilterText | None = Field(None, description="A part of the address or of either name.")
    since: Timestamp | None = Field(None, description="Received at this moment (RFC 3339) or later.")
    until: Timestamp | None = Field(None, description="Received before this moment.")
    limit: Annotated[Number, Field(ge=1, le=1000)] | None = Field(None, description="A page of so many.")
    after: Annotated[Number, Field(ge=0, le=MAX_ID)] | None = Field(None, description="Go on after this id.")
    order: Literal["asc", "desc"] = Field("asc", description="By id: oldest or newest first.")


class LeadModel(BaseModel):
    """A lead."""

    id: int
    email: str
    f_name: str
    l_name: str
    CV_name: str
    state: str
    created_at: datetime


class CvModel(BaseModel):
    """What is known of a CV."""

    size: int = Field(description="Bytes.")
    sha256: str = Field(description="In hexadecimal.")
    detected_type: str = Field(description="The media type, by the file's content.")
    flags: list[str] = Field(description="What to know before it is opened: macros, javascript, encrypted, …")
    scan_state: str = Field(description="unscanned, scanning, clean, quarantined or too-large-to-scan.")
    signature: str | None = Field(description="What clamd found in it, where it is quarantined.")


class LeadWithCv(LeadModel):
    """A lead, with what is known of its CV."""

    CV: CvModel


class CvQuery(RequestModel):
    """How a CV is asked for."""

    force: bool = Field(
        False, description="Give it though it is quarantined, not scanned yet, or was too large to scan."
    )


# multipart, read by web.forms and checked by leads.entries
MANUAL_LEAD_FORM = {
    "type": "object",
    "properties": {
        "email": {"type": "string", "format": "email", "description": "The person's address."},
        "f_name": {"type": "string", "minLength": 1, "maxLength": 200, "description": "First name."},
        "l_name": {"type": "string", "minLength": 1, "maxLength": 200, "description": "Last name."},
        "CV": {"type": "string", "contentMediaType": "application/octet-stream", "description": "The file."},
        "external_id": {
            "type": "string",
            "minLength": 1,
            "maxLength": 255,
            "description": "Another system's id of the lead, which is then kept once.",
        },
        "state": {"type": "string", "description": "The state that it begins in; the first one if absent."},
        "notify": {
            "type": "string",
            "enum": ["true", "false"],
            "default": "false",
            "description": "Whether the person is sent a confirmation, and attorneys an alert.",
        },
        "dry_run": {
            "type": "string",
            "enum": ["true", "false"],
            "default": "false",
            "description": "Check all of it, and save nothing.",
        },
    },
    "required": ["email", "f_name", "l_name", "CV"],
    "additionalProperties": False,
}


class StateChange(RequestModel):
    """A change of state."""

    status: str = Field(description="The state to move to.")
    from_: str | None = Field(None, alias="from", description="The state it must be in; any if absent.")


class PageQuery(RequestModel):
    """A page of a list."""

    limit: Annotated[Number, Field(ge=1, le=1000)] = Field(100, description="A page of so many.")
    after: Annotated[Number, Field(ge=0, le=MAX_ID)] | None = Field(None, description="Go on after this id.")
    order: Literal["asc", "desc"] = Field("asc", description="By id: oldest or newest first.")


class MailQuery(PageQuery):
    """The mail list's filters."""

    state: list[Literal["owed", "sent", "dead", "suppressed"]] = Field([], description="A state; may repeat.")
    kind: list[Literal["confirmation", "alert"]] = Field([], description="A kind; may repeat.")
    lead: Annotated[Number, Field(ge=1, le=MAX_ID)] | None = Field(None, description="Owed for this lead.")


class MailModel(BaseModel):
    """A mail, whatever became of it."""

    id: int
    lead_id: int
    kind: str
    recipient: str
    state: str
    attempts: int
    last_error: str | None
    next_attempt_at: datetime = Field(description="When it is tried next, while it is owed.")
    created_at: datetime
    sent_at: datetime | None
    message_id: str
    digest_id: int | None = Field(description="An alert's: the mail that tells of it, itself or a digest.")


class MailRetry(RequestModel):
    """Dead mails to make owed again."""

    ids: Annotated[list[Annotated[int, Field(ge=1, le=MAX_ID)]], Field(max_length=1000)]


class MailRetryResult(BaseModel):
    """What came of one of them."""

    id: int
    result: Literal["revived", "not_dead", "missing"]


class MailRetryResults(BaseModel):
    """What came of each, in the order asked."""

    results: list[MailRetryResult]


class WaitingLead(BaseModel):
    """A lead that nobody has taken up."""

    id: int
    created_at: datetime


class UnsentMails(BaseModel):
    """Mails that are to be sent, and those that were given up."""

    owed: int
    dead: int


class Statistics(BaseModel):
    """Where things stand."""

    total: int = Field(description="All leads.")
    states: dict[str, int] = Field(description="Leads in each state, in the states' order.")
    days: dict[date, int] = Field(description="Leads that came on each of the last 30 days in UTC, today the last.")
    oldest_waiting: WaitingLead | None = Field(description="The oldest lead in the first state.")
    mails: UnsentMails


class Credentials(RequestModel):
    """A name and a password."""

    username: str = Field(json_schema_extra={"minLength": 1, "maxLength": 64, "pattern": "^[A-Za-z0-9._@-]+$"})
    password: str = Field(description="8 characters to 72 bytes in UTF-8.")


class Registration(Credentials):
    """A user to make."""

    role: str | None = Field(
        None,
        description="Only an administrator may give it; attorney if absent.",
        json_schema_extra={"enum": [*ROLES, None]},
    )


class Token(BaseModel):
    """A token, good for `expires_in` seconds."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - a kind of token, no token
    expires_in: int = TOKEN_TTL_S


class UserModel(BaseModel):
    """A user."""

    id: int
    username: str
    role: Role
    created_at: datetime


class PasswordChange(RequestModel):
    """One's own password, and the one that is to be."""

    old: str
    new: str = Field(description="8 characters to 72 bytes in UTF-8.")


class ListedUser(BaseModel):
    """A user, as administrators see one."""

    id: int
    username: str
    role: Role
    disabled: bool
    created_at: datetime


class UserChange(RequestModel):
    """What is to be of a user; what is absent stays."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    role: Role | None = Field(None, description="The next request's already; tokens stay good.")
    disabled: StrictBool | None = Field(None, description="Whether logins are refused; true ends every token.")
    password: str | None = Field(None, description="8 characters to 72 bytes in UTF-8; ends every token.")
