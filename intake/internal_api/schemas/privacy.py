"""Request and response models of erasure and export."""

from typing import Annotated

from pydantic import Field, StringConstraints

from intake.leads.erasure import Erased
from intake.request_models import MAX_EMAIL_CHARACTERS, RequestModel

Email = Annotated[str, StringConstraints(max_length=MAX_EMAIL_CHARACTERS)]


class PersonModel(RequestModel):
    """A person, identified by email address."""

    email: Email = Field(description="Email address; exact match except for case, without wildcards.")


class ErasureRequest(PersonModel):
    """A person to erase."""

    dry_run: bool = Field(default=False, description="Preview the erasure without erasing.")


class ErasureResult(Erased):
    """Result or preview of an erasure."""

    in_maildir: bool = Field(description="Whether copies of sent mails remain in the service's Maildir.")
    dry_run: bool
