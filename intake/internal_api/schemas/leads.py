"""Request and response models of leads."""

from pydantic import Field

from intake.request_models import RequestModel


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
