"""Request and response models of leads."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from intake.request_models import MAX_ID, FilterText, Number, RequestModel, Timestamp


class LeadQuery(RequestModel):
    """The list's filters."""

    email: FilterText | None = Field(
        default=None, description="The whole address; * stands for anything, \\* for a star."
    )
    f_name: FilterText | None = Field(default=None, description="The whole first name, likewise.")
    l_name: FilterText | None = Field(default=None, description="The whole last name, likewise.")
    state: list[str] = Field(default=[], description="A state; may repeat.")
    q: FilterText | None = Field(default=None, description="A part of the address or of either name.")
    since: Timestamp | None = Field(default=None, description="Received at this moment (RFC 3339) or later.")
    until: Timestamp | None = Field(default=None, description="Received before this moment.")
    limit: Annotated[Number, Field(ge=1, le=1000)] | None = Field(default=None, description="A page of so many.")
    after: Annotated[Number, Field(ge=0, le=MAX_ID)] | None = Field(default=None, description="Go on after this id.")
    order: Literal["asc", "desc"] = Field(default="asc", description="By id: oldest or newest first.")


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
    from_: str | None = Field(default=None, alias="from", description="The state it must be in; any if absent.")
