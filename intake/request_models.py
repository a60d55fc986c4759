"""Base models and field types of requests: bodies, queries and pages of lists."""

import re
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

MAX_ID = 2**63 - 1


def _between_1970_and_9999(moment: datetime) -> datetime:
    if not datetime(1970, 1, 1, tzinfo=UTC) <= moment < datetime(9999, 1, 1, tzinfo=UTC):
        raise ValueError("expected a moment from 1970 to 9998")  # further out, another time zone has no name for it
    return moment


def _rfc_3339(text: object) -> object:
    if isinstance(text, str) and not re.match(r"\d{4}-\d\d-\d\d[Tt ]", text, re.ASCII):
        raise ValueError("expected RFC 3339, e.g. 2026-11-01T09:00:00+01:00")  # a bare number would be Unix seconds
    return text


def _digits(text: object) -> object:
    if isinstance(text, str) and not re.fullmatch(r"-?[0-9]{1,19}", text):
        raise ValueError("expected a whole number")  # the library also reads "1.0", "1_0" and " 1"
    return text


# NUL is in no stored text, and PostgreSQL takes none
FilterText = Annotated[str, StringConstraints(max_length=320, pattern=r"^[^\x00]*$")]
Number = Annotated[int, BeforeValidator(_digits)]  # of a query
Timestamp = Annotated[
    AwareDatetime,
    BeforeValidator(_rfc_3339),
    AfterValidator(_between_1970_and_9999),
]


class RequestModel(BaseModel):
    """What a request holds."""

    # a name that is not known is a slip (`form` for `from`), and passing it over would do what was not meant
    model_config = ConfigDict(extra="forbid")


class PageQuery(RequestModel):
    """A page of a list."""

    limit: Annotated[Number, Field(ge=1, le=1000)] = Field(default=100, description="A page of so many.")
    after: Annotated[Number, Field(ge=0, le=MAX_ID)] | None = Field(default=None, description="Go on after this id.")
    order: Literal["asc", "desc"] = Field(default="asc", description="By id: oldest or newest first.")

    @property
    def newest_first(self) -> bool:
        """Whether ids go down."""
        return self.order == "desc"


def filters_in_use(query: BaseModel) -> str | None:
    """Return which filters a list was read by, for its entry: their names, since their values may name a person."""
    names = [name for name in type(query).model_fields if name in query.model_fields_set]
    filters = [name for name in names if name not in ("limit", "after", "order", "lead")]
    return f"by {', '.join(filters)}" if filters else None
