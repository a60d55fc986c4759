"""What the internal door takes and gives of the audit trail, as models."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field, WithJsonSchema

from intake.audit import Action
from intake.request_models import MAX_ID, FilterText, Number, PageQuery, Timestamp

# written out where it is used: a parameter's description refers to nothing
ActionName = Annotated[Action, WithJsonSchema({"type": "string", "enum": [action.value for action in Action]})]


class AuditQuery(PageQuery):
    """The trail's filters."""

    user: FilterText | None = Field(None, description="Who did it, or to whom it was done.")
    action: list[ActionName] = Field([], description="What was done; may repeat.")
    lead: Annotated[Number, Field(ge=1, le=MAX_ID)] | None = Field(None, description="Done to this lead.")
    since: Timestamp | None = Field(None, description="At this moment (RFC 3339) or later.")
    until: Timestamp | None = Field(None, description="Before this moment.")


class AuditEntryModel(BaseModel):
    """Something that was done."""

    id: int
    at: datetime
    action: str
    user: str | None = Field(description="Who did it; null: nobody who was logged in, or the service itself.")
    subject: str | None = Field(description="The user to whom it was done.")
    lead: int | None
    detail: str | None
    client: str | None = Field(description="The address it was done from; null: on the server.")
    request_id: str | None
