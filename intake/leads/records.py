"""A lead as it is read: its columns, in the order in which they are shown."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from intake.cvs.store import Place
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


@dataclass(frozen=True)
class CvFacts:
    """What is known of a lead's CV: `size` in bytes, `sha256` in hexadecimal, `place` None: in the database."""

    name: str
    size: int
    sha256: str
    detected_type: str
    place: Place | None
