"""Request and response models of mail."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from intake.request_models import MAX_ID, RequestModel


class MailRetry(RequestModel):
    """Failed mails to queue again."""

    ids: Annotated[list[Annotated[int, Field(ge=1, le=MAX_ID)]], Field(max_length=1000)]


class MailRetryResult(BaseModel):
    """Result for one mail."""

    id: int
    result: Literal["revived", "suppressed", "not_failed", "missing"]


class MailRetryResults(BaseModel):
    """Results in the order of the request."""

    results: list[MailRetryResult]
