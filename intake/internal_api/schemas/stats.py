"""Response models of statistics."""

from datetime import date, datetime

from pydantic import BaseModel, Field


class WaitingLead(BaseModel):
    """The oldest lead in the first state."""

    id: int
    created_at: datetime


class UnsentMails(BaseModel):
    """Numbers of unsent mails."""

    queued: int
    failed: int


class Statistics(BaseModel):
    """Numbers of leads and unsent mails."""

    total: int = Field(description="All leads.")
    states: dict[str, int] = Field(description="Leads in each state, in the order of the states.")
    days: dict[date, int] = Field(description="Leads received on each of the last 30 days in UTC, up to today.")
    oldest_waiting: WaitingLead | None = Field(description="The oldest lead in the first state.")
    mails: UnsentMails
