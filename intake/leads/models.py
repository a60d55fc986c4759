"""A lead as it is read: its columns, in the order in which they are shown."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypedDict

from intake.cvs.store import ObjectRef
from intake.database.schema import lead

# the row's thin columns, which a list reads; the CV's stand in a table of their own
LEAD_COLUMNS = (
    lead.c.id,
    lead.c.email,
    lead.c.f_name,
    lead.c.l_name,
    lead.c["CV_name"],
    lead.c.state,
    lead.c.created_at,
)


class Lead(TypedDict):
    """A lead, under the names it has on the wire."""

    id: int
    email: str
    f_name: str
    l_name: str
    CV_name: str
    state: str
    created_at: datetime


class ScanState(StrEnum):
    """What clamd says of a CV."""

    UNSCANNED = "unscanned"  # it was not asked
    SCANNING = "scanning"  # it is to be asked
    CLEAN = "clean"
    QUARANTINED = "quarantined"
    TOO_LARGE = "too-large-to-scan"


@dataclass(frozen=True)
class CvFacts:
    """What is known of a lead's CV: `size` in bytes, `sha256` in hexadecimal, `place` None: in the database.

    `flags` are words for what its reader should know; `signature` is what clamd found in one that is quarantined.
    """

    name: str
    size: int
    sha256: str
    detected_type: str
    flags: tuple[str, ...]
    scan_state: ScanState
    signature: str | None
    place: ObjectRef | None
