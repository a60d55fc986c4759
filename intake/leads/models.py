"""Lead and CV records: the columns that a list shows, and the fields of responses."""

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field
from sqlalchemy import ColumnElement, TextClause

from intake.cvs.store import ObjectRef
from intake.database.schema import SUSPECT, lead


class ScanState(StrEnum):
    """Result of a CV's scan by clamd."""

    UNSCANNED = "unscanned"  # no clamd was configured
    SCANNING = "scanning"  # queued
    CLEAN = "clean"
    QUARANTINED = "quarantined"
    TOO_LARGE = "too-large-to-scan"


class TextState(StrEnum):
    """State of the text of a CV."""

    PENDING = "pending"
    DONE = "done"
    EMPTY = "empty"  # no text layer
    FAILED = "failed"
    WITHHELD = "withheld"  # quarantined, or too large to scan
    OFF = "off"  # not stored: pending while extraction is off


SuspectFilter = Annotated[bool | None, Field(description="Only suspect leads (true), or only others (false).")]


def suspect_conditions(suspect: bool | None) -> Iterator[ColumnElement[bool] | TextClause]:
    """Yield the condition of a SuspectFilter, if it has one."""
    if suspect is not None:
        yield SUSPECT if suspect else lead.c.suspect.is_(None)


class LeadModel(BaseModel):
    """A lead."""

    id: int
    email: str
    f_name: str
    l_name: str
    CV_name: str
    state: str
    created_at: datetime


class ListedLead(LeadModel):
    """A lead in the list; the last fields are present if the request includes them."""

    suspect: str | None = Field(default=None, description="With `include=suspect`: its sign of spam, or null.")
    fields: dict[str, str] | None = Field(default=None, description="With `include=fields`: the values by key.")


# in the order of the response's fields; a CV's columns are in a table of their own, which no list reads
LEAD_COLUMNS = tuple(lead.c[name] for name in LeadModel.model_fields)


def _split(flags: object) -> object:
    return tuple(filter(None, flags.split(","))) if isinstance(flags, str) else flags


class CvModel(BaseModel):
    """Metadata of a CV."""

    name: str = Field(default="", exclude=True)
    size: int = Field(description="Bytes.")
    sha256: str = Field(description="In hexadecimal.")
    detected_type: str = Field(description="Media type, detected from the content.")
    flags: Annotated[tuple[str, ...], BeforeValidator(_split)] = Field(
        description="Warnings: macros, javascript, encrypted, …"
    )
    scan_state: str = Field(description="unscanned, scanning, clean, quarantined or too-large-to-scan.")
    signature: str | None = Field(description="Signature that clamd found, if quarantined.")
    object_ref: ObjectRef | None = Field(default=None, exclude=True)  # None: the bytes are in the database


class ConsentModel(BaseModel):
    """A consent, or the acknowledgement of the privacy notice."""

    key: str = Field(description="Key of the consent; `privacy` for the privacy notice.")
    text_sha256: str = Field(description="SHA-256 of the text that was shown, in hexadecimal.")
    version: str | None = Field(description="Version of the privacy notice.")
    language: str = Field(description="Language of the text.")
    given_at: datetime


class LeadWithCv(LeadModel):
    """A lead with its CV's metadata and the answers to the firm's own questions."""

    CV: CvModel
    suspect: str | None = Field(description="Sign of spam: honeypot or too_fast; null if there is none.")
    language: str | None = Field(description="Language in which the form was shown, if it was sent.")
    fields: dict[str, str] = Field(description="Values of the fields that the firm defines, by key.")
    consents: list[ConsentModel]
