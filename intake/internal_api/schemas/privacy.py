"""What the internal door takes and gives of persons, as models."""

from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from intake.request_models import RequestModel

Email = Annotated[str, StringConstraints(max_length=320)]


class PersonModel(RequestModel):
    """A person, by the address that their leads have."""

    email: Email = Field(description="The whole address; upper and lower case are one, and nothing is a wildcard.")


class ErasureRequest(PersonModel):
    """A person to erase."""

    dry_run: bool = Field(default=False, description="Tell what would be erased, and erase nothing.")


class ErasedLead(BaseModel):
    """A lead that is no more, and the state it was in."""

    id: int
    state: str


class ErasureModel(BaseModel):
    """What was erased of a person, or would be."""

    leads: list[ErasedLead]
    cvs: int
    mails: int = Field(description="Mails that were owed, sent or given up.")
    mails_sent: int = Field(description="Those of them that were sent: where they went, they still are.")
    in_maildir: bool = Field(description="Whether sent mails are kept by the service, in a Maildir, and so still are.")
    objects_left: int = Field(description="CVs that their store could not delete yet; the worker retries.")
    complete: bool = Field(description="False where there is more than one request erases: send it again.")
    swept: bool = Field(description="Whether no trace is left in the database's files either.")
    dry_run: bool
