"""Base models and field types of requests: bodies, forms, queries and pages of lists."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

MAX_ID = 2**63 - 1
MAX_EMAIL_CHARACTERS = 320
MAX_NAME_CHARACTERS = 200
MAX_CV_NAME_CHARACTERS = 255
# JSON schemas of the fields that the public and the internal form share, all of them required
LEAD_FORM_FIELDS: Mapping[str, Mapping[str, object]] = {
    "email": {"type": "string", "format": "email", "maxLength": MAX_EMAIL_CHARACTERS, "description": "Email address."},
    "f_name": {"type": "string", "minLength": 1, "maxLength": MAX_NAME_CHARACTERS, "description": "First name."},
    "l_name": {"type": "string", "minLength": 1, "maxLength": MAX_NAME_CHARACTERS, "description": "Last name."},
    "CV": {
        "type": "string",
        "format": "binary",
        "minLength": 1,
        "description": f"CV file; its name has at most {MAX_CV_NAME_CHARACTERS} characters.",
    },
}
LEAD_FORM_EXAMPLE = {"email": "ada@example.com", "f_name": "Ada", "l_name": "Lovelace", "CV": "%PDF-1.7 …"}
_FIRST, _LAST = "1970-01-01T00:00:00Z", "9998-12-31T23:59:59Z"


def _check_range(timestamp: datetime) -> datetime:
    if not datetime(1970, 1, 1, tzinfo=UTC) <= timestamp < datetime(9999, 1, 1, tzinfo=UTC):
        # beyond, converting to another time zone overflows
        raise PydanticCustomError("timestamp_range", "must be between 1970 and 9998", {"ge": _FIRST, "le": _LAST})
    return timestamp


def _check_rfc_3339(text: object) -> object:
    if isinstance(text, str) and not re.match(r"\d{4}-\d\d-\d\d[Tt ]", text, re.ASCII):
        # pydantic would read a bare number as Unix seconds
        raise PydanticCustomError("rfc_3339", "must be an RFC 3339 timestamp, e.g. 2026-11-01T09:00:00+01:00")
    return text


def _check_digits(text: object) -> object:
    if isinstance(text, str) and not re.fullmatch(r"-?[0-9]{1,19}", text):
        # pydantic would also accept "1.0", "1_0" and " 1"
        raise PydanticCustomError("digits", "must be a whole number")
    return text


# stored text never contains NUL, and PostgreSQL rejects it
FilterText = Annotated[str, StringConstraints(max_length=MAX_EMAIL_CHARACTERS, pattern=r"^[^\x00]*$")]
Number = Annotated[int, BeforeValidator(_check_digits)]  # in a query
Timestamp = Annotated[
    AwareDatetime,
    BeforeValidator(_check_rfc_3339),
    AfterValidator(_check_range),
]


class RequestModel(BaseModel):
    """Base of request bodies and queries."""

    # a misspelled name (`form` for `from`) must not be ignored
    model_config = ConfigDict(extra="forbid")


class PageQuery(RequestModel):
    """A page of a list."""

    limit: Annotated[Number, Field(ge=1, le=1000)] = Field(default=100, description="Page size.")
    after: Annotated[Number, Field(ge=0, le=MAX_ID)] | None = Field(default=None, description="Continue after this id.")
    order: Literal["asc", "desc"] = Field(default="asc", description="By id: oldest or newest first.")

    @property
    def newest_first(self) -> bool:
        """Whether ids descend."""
        return self.order == "desc"


def filters_in_use(query: BaseModel) -> str | None:
    """Return the names of the filters in use, for an audit entry; their values may be personal data."""
    names = [name for name in type(query).model_fields if name in query.model_fields_set]
    filters = [name for name in names if name not in ("limit", "after", "order", "lead", "include", "matches")]
    return f"by {', '.join(filters)}" if filters else None
