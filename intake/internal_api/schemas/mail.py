"""Request and response models of mail."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from intake.request_models import MAX_ID, Number, PageQuery, RequestModel


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
