"""What the internal door takes and gives of changes, as models."""

from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import BaseModel, Field

from intake.internal_api.schemas.leads import StateChange
from intake.leads.bulk_changes import MAX_LEADS, OutcomeModel
from intake.request_models import MAX_ID, RequestModel


class BulkChange(StateChange):
    """A change of state of many leads, in one transaction."""

    max_body_bytes: ClassVar[int] = 2**18  # so many ids of 19 digits

    ids: Annotated[list[Annotated[int, Field(ge=1, le=MAX_ID)]], Field(max_length=MAX_LEADS)]
    change: UUID | None = Field(
        default=None, description="Made by the client, and sent with each request of one command."
    )
    dry_run: bool = Field(default=False, description="Tell what would happen, and change nothing.")


class Undo(RequestModel):
    """The undoing of a change, as a change of its own."""

    change: UUID | None = Field(default=None, description="The undoing's own id, likewise.")
    after: Annotated[int, Field(ge=0, le=MAX_ID)] = Field(default=0, description="Go on after this lead.")
    others: bool = Field(default=False, description="Undo the change even if another user made it.")
    dry_run: bool = Field(default=False, description="Tell what would happen, and change nothing.")


class Outcomes(BaseModel):
    """What came of each lead."""

    change: UUID
    results: list[OutcomeModel]


class UndoOutcomes(Outcomes):
    """What came of each lead of a page."""

    next: int | None = Field(description="The `after` to go on with; null at the end.")
