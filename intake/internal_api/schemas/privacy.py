"""Request and response models of erasure and export."""

from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from intake.request_models import RequestModel

Email = Annotated[str, StringConstraints(max_length=320)]


class PersonModel(RequestModel):
    """A person, identified by email address."""

    email: Email = Field(description="Email address; exact match except for case, without wildcards.")


class ErasureRequest(PersonModel):
    """A person to erase."""

    dry_run: bool = Field(default=False, description="Preview the erasure without erasing.")


class ErasedLead(BaseModel):
    """An erased lead and its last state."""

    id: int
    state: str


class ErasureModel(BaseModel):
    """Result or preview of an erasure."""

    leads: list[ErasedLead]
    cvs: int
    mails: int = Field(description="Mails in any state.")
    mails_sent: int = Field(description="Sent mails; copies at their recipients remain.")
    in_maildir: bool = Field(description="Whether copies of sent mails remain in the service's Maildir.")
    objects_left: int = Field(description="CVs that the store could not delete yet; the worker retries.")
    complete: bool = Field(description="False if leads remain: repeat the request.")
    swept: bool = Field(description="Whether no deleted data is left in the database's files.")
    dry_run: bool
