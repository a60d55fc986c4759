"""Response models of statistics."""

from pydantic import BaseModel

from intake.leads.statistics import LeadStatistics


class UnsentMails(BaseModel):
    """Numbers of unsent mails."""

    queued: int
    failed: int


class Statistics(LeadStatistics):
    """Numbers of leads and unsent mails."""

    mails: UnsentMails
