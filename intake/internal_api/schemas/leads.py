"""Request and response models of leads."""

from pydantic import Field

from intake.leads.manual_leads import MAX_EXTERNAL_ID_CHARACTERS
from intake.request_models import LEAD_FORM_EXAMPLE, LEAD_FORM_FIELDS, RequestModel


class CvQuery(RequestModel):
    """Options of a CV download."""

    force: bool = Field(False, description="Download even if quarantined, not scanned yet, or too large to scan.")


_FLAG = {"type": "string", "enum": ["true", "false"], "default": "false"}
# multipart, parsed by http.multipart and validated by leads.manual_leads
MANUAL_LEAD_FORM = {
    "type": "object",
    "properties": {
        **LEAD_FORM_FIELDS,
        "external_id": {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_EXTERNAL_ID_CHARACTERS,
            "description": "Id in another system; a lead with the same id is saved only once.",
        },
        "state": {"type": "string", "description": "Initial state; the first one if absent."},
        "notify": {**_FLAG, "description": "Send a confirmation to the person and alerts to attorneys."},
        "dry_run": {**_FLAG, "description": "Validate without saving."},
    },
    "required": list(LEAD_FORM_FIELDS),
    "additionalProperties": False,
    "examples": [LEAD_FORM_EXAMPLE | {"external_id": "crm-1815", "notify": "true"}],
}


class StateChange(RequestModel):
    """A state change."""

    status: str = Field(description="New state.")
    from_: str | None = Field(default=None, alias="from", description="Required current state; any if absent.")
