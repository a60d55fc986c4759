"""Response models of statistics."""

from datetime import date, datetime

from pydantic import BaseModel, Field


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
