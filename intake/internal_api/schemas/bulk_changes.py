"""What the internal door takes and gives of changes, as models."""

from datetime import datetime
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from intake.internal_api.schemas.leads import StateChange
from intake.leads.bulk_changes import MAX_LEADS
from intake.request_models import MAX_ID, Number, RequestModel

IdStart = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{8}(-?[0-9a-fA-F]){0,24}$")]


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


class OutcomeModel(BaseModel):
    """What came of one lead, and the state that it is in now."""

    id: int
    result: Literal["changed", "unchanged", "missing", "conflict", "undone", "already_undone", "moved"]
    state: str | None = Field(description="Null where there is no such lead.")


class Outcomes(BaseModel):
    """What came of each lead."""

    change: UUID
    results: list[OutcomeModel]


class UndoOutcomes(Outcomes):
    """What came of each lead of a page."""

    next: int | None = Field(description="The `after` to go on with; null at the end.")


class ChangeQuery(RequestModel):
    """A page of the changes."""

    limit: Annotated[Number, Field(ge=1, le=1000)] = Field(default=100, description="A page of so many.")
    before: UUID | None = Field(default=None, description="Go on before this change.")
    mine: bool = Field(default=False, description="Only changes that the user made.")
    undos: bool = Field(default=True, description="Include changes that undo another.")
    id: IdStart | None = Field(
        default=None, description="Only changes whose id starts so: at least 8 hexadecimal digits."
    )


class Undoing(BaseModel):
    """A change that undid another, and how many leads it put back."""

    id: UUID
    count: int


class ChangeModel(BaseModel):
    """A change of many leads, or the undoing of one."""

    id: UUID
    at: datetime
    user: str
    from_: str | None = Field(alias="from", description="The state that was asked for; null: any.")
    to: str | None = Field(description="Null where it undoes another.")
    undoes: UUID | None
    count: int = Field(description="How many leads it moved.")
    undone_by: list[Undoing]


class EventModel(BaseModel):
    """One change of one lead."""

    at: datetime
    user: str
    from_: str | None = Field(alias="from", description="Null where the lead was created by hand.")
    to: str
    change: UUID | None = Field(description="The change of many that it was part of.")
    undoes: UUID | None = Field(description="The change that this one undid.")
